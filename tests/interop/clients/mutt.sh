#!/bin/sh
user=$(printf %s "$NAME" | sed 's/@/%40/g')
case $TLS in implicit) scheme=smtps ;; *) scheme=smtp ;; esac
umask 077
cat > "$WORK/muttrc" <<END
set smtp_url="$scheme://$user@localhost:$PORT"
set smtp_pass="$PASSWORD"
set smtp_authenticators="$(printf %s "$MECHANISM" | tr A-Z a-z)"
set ssl_starttls=yes
set ssl_force_tls=yes
set ssl_ca_certificates_file="$CA"
set ssl_usesystemcerts=no
set from="$FROM"
set realname=""
set charset="utf-8"
set copy=no
set certificate_file="$WORK/certificates"
END
printf %s "$TEXT" | HOME=$WORK LC_ALL=C.UTF-8 exec mutt -n -F "$WORK/muttrc" -s "$SUBJECT" \
    -b "$BCC" -a "$ATTACHMENT" -- "$TO"
