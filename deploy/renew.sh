#!/bin/sh
# Gets a certificate and renews it, twice a day if need be; for the service certbot in compose.yaml.
# The key is given to user 10001, as whom the relay runs; the relay takes the new files by itself.
#
#   renew.sh          runs until it is stopped
#   renew.sh deploy   is what certbot calls after a renewal
set -eu
certs=${CERTS_FOLDER:-/certs}

if [ "${1:-}" = deploy ]; then
    # Whole files under other names first, so that nobody reads half of one.
    install -o 10001 -g 10001 -m 0400 "$RENEWED_LINEAGE/privkey.pem" "$certs/key.pem.new"
    install -m 0444 "$RENEWED_LINEAGE/fullchain.pem" "$certs/cert.pem.new"
    mv "$certs/key.pem.new" "$certs/key.pem"
    mv "$certs/cert.pem.new" "$certs/cert.pem"
    exit
fi

if [ -z "$RELAY_NAME" ] || [ -z "$ACME_EMAIL" ]; then
    echo "Set RELAY_NAME (such as relay.contoso.com) and ACME_EMAIL in deploy/.env" >&2
    exit 1
fi
trap 'exit 0' TERM INT
while :; do
    certbot certonly --standalone --non-interactive --agree-tos --keep-until-expiring \
        --domain "$RELAY_NAME" --email "$ACME_EMAIL" --key-type rsa --rsa-key-size 2048 \
        --deploy-hook "/bin/sh /renew.sh deploy" || echo "certbot failed; it is tried again" >&2
    sleep 43200 &
    wait $!
done
