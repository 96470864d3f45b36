#!/bin/sh
# shellcheck disable=SC2086  # CRLF is an option or nothing
case $TLS in implicit) url=smtps ;; *) url=smtp ;; esac
exec curl --silent --show-error --verbose $CRLF --ssl-reqd --cacert "$CA" \
    --url "$url://localhost:$PORT" --login-options "AUTH=$MECHANISM" --user "$NAME:$PASSWORD" \
    --mail-from "$FROM" --mail-rcpt "$TO" --mail-rcpt "$BCC" --upload-file "$MAIL"
