#!/bin/sh
url=$(printf %s "$NAME:$PASSWORD" | sed 's/@/%40/g')
case $TLS in
    implicit) scheme=smtps tls=-Sno-smtp-use-starttls start= ;;
    *) scheme=smtp tls=-Ssmtp-use-starttls start=starttls, ;;
esac
mechanism=$(printf %s "$MECHANISM" | tr A-Z a-z)
printf %s "$TEXT" | LC_ALL=C.UTF-8 exec s-nail -:/ -v -Sv15-compat -Sttycharset=utf-8 \
    -S "mta=$scheme://$url@localhost:$PORT" $tls -S "smtp-config=-all,ehlo,$start$mechanism" \
    -S "smtp-auth=$mechanism" \
    -S "tls-ca-file=$CA" -S "from=$FROM" -Snosave -S sendwait -S tls-verify=strict \
    -s "$SUBJECT" -a "$ATTACHMENT" -b "$BCC" "$TO"
