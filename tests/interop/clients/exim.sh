#!/bin/sh
# A queue of its own, run until it is empty; with GIVES_UP=yes it is run once.
set -eu
exim=$TOOLS/exim/usr/sbin/exim4
chmod 711 "$WORK"
mkdir -p "$WORK/spool" "$WORK/log"
chown Debian-exim "$WORK/spool" "$WORK/log"
install -m 644 "$CA" "$WORK/ca.pem"  # it is read by Exim's own user
umask 077
doubled=$(printf %s "$PASSWORD" | sed 's/:/::/g; s/\^/^^/g')
cat > "$WORK/conf" <<END
exim_path = $exim
primary_hostname = exim.example
spool_directory = $WORK/spool
log_file_path = $WORK/log/%slog
keep_environment =
tls_advertise_hosts =
trusted_users = root
qualify_domain = exim.example
never_users =
begin routers
relay:
  driver = manualroute
  transport = relay
  route_list = * localhost::$PORT byname
  self = send
begin transports
relay:
  driver = smtp
  hosts_require_auth = *
  hosts_require_tls = *
  tls_verify_certificates = $WORK/ca.pem
  tls_verify_hosts = *
  protocol = $([ "$TLS" = implicit ] && echo smtps || echo smtp)
begin retry
* * F,1h,1s
begin authenticators
relay:
  driver = plaintext
  public_name = $MECHANISM
END
case $MECHANISM in
    PLAIN) echo "  client_send = ^$NAME^$doubled" ;;
    *) echo "  client_send = : $NAME : $doubled" ;;
esac >> "$WORK/conf"
chown root:root "$WORK/conf"
chmod 640 "$WORK/conf"
chgrp Debian-exim "$WORK/conf"
trap 'cat "$WORK/log/"*' EXIT
trap 'exit 1' TERM
"$exim" -C "$WORK/conf" -oi -odf -f "$FROM" "$TO" "$BCC" < "$MAIL" || true
until [ "$("$exim" -C "$WORK/conf" -bpc)" = 0 ]; do
    if [ "${GIVES_UP:-no}" = yes ] || grep -q ' \*\* ' "$WORK/log/mainlog"; then
        exit 1
    fi
    sleep 0.2
    "$exim" -C "$WORK/conf" -qff
done
! grep -q ' \*\* ' "$WORK/log/mainlog"
