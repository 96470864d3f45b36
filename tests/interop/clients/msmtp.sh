#!/bin/sh
case $TLS in implicit) starttls=off ;; *) starttls=on ;; esac
umask 077
cat > "$WORK/msmtprc" <<END
account default
host localhost
port $PORT
tls on
tls_starttls $starttls
tls_trust_file $CA
auth $(printf %s "$MECHANISM" | tr A-Z a-z)
user $NAME
password $PASSWORD
from $FROM
END
exec msmtp --debug --file="$WORK/msmtprc" -- "$TO" "$BCC" < "$MAIL"
