# Built by `make image`. The same base in both stages: the environment made in the first one is
# copied, and its python is a link to the base's.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
COPY requirements.txt requirements-build.txt ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.txt \
    && python -m venv --without-pip /opt/relay \
    && /opt/build/bin/pip --python /opt/relay/bin/python install --no-cache-dir --no-compile \
        --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/build/bin/pip --python /opt/relay/bin/python install --no-compile --no-deps --no-index \
        dist/*.whl \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/relay/lib

FROM ${PYTHON_IMAGE}
# The base's pip goes: nothing is installed in this image. The import leaves the standard library's
# bytecode behind, which slim images come without and a read-only file system could never keep.
RUN --mount=type=bind,from=build,source=/opt/relay,target=/opt/relay \
    groupadd --gid 10001 relay \
    && useradd --no-log-init --uid 10001 --gid relay --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin relay \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* \
        /usr/local/lib/python3*/ensurepip \
    && /opt/relay/bin/python -c 'import smtp_oauth_relay.app, smtp_oauth_relay.cli'
COPY --from=build /opt/relay /opt/relay
ENV PATH=/opt/relay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /usr/src/smtp-relay
USER 10001:10001
EXPOSE 8025
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=15s \
    CMD ["smtp-oauth-relay", "healthcheck"]
ENTRYPOINT ["smtp-oauth-relay"]
CMD ["serve"]

ARG VERSION=dev
ARG REVISION=
LABEL org.opencontainers.image.title="SMTP OAuth Relay" \
      org.opencontainers.image.description="An SMTP server that sends the mail of devices through Microsoft Graph" \
      org.opencontainers.image.source="https://github.com/JustinIven/smtp-oauth-relay" \
      org.opencontainers.image.url="https://github.com/JustinIven/smtp-oauth-relay" \
      org.opencontainers.image.documentation="https://github.com/JustinIven/smtp-oauth-relay/tree/main/docs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
