#!/bin/sh
# nullmailer-send runs this program for each mail: options on stdin, the mail on 3.
case $TLS in implicit) tls=--tls ;; *) tls=--starttls ;; esac
{ printf '%s\n' "$FROM" "$TO" "$BCC" ""; cat "$MAIL"; } > "$WORK/mail"
{
    printf '%s\n' --host=localhost "--port=$PORT" "$tls" "--x509cafile=$CA" \
        "--user=$NAME" "--pass=$PASSWORD"
    if [ "$MECHANISM" = LOGIN ]; then echo --auth-login; fi
    echo
} | HELOHOST=nullmailer.example "$TOOLS/nullmailer/usr/lib/nullmailer/smtp" 3< "$WORK/mail"
