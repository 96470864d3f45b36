#!/bin/sh
case $TLS in implicit) tls=-tlsc ;; *) tls=-tls ;; esac
exec swaks --server "localhost:$PORT" $tls --tls-verify --tls-ca-path "$CA" \
    --auth "$MECHANISM" --auth-user "$NAME" --auth-password "$PASSWORD" \
    --from "$FROM" --to "$TO,$BCC" --data "@$MAIL"
