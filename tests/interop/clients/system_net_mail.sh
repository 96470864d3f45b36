#!/bin/sh
set -eu
mcs -out:"$WORK/mail.exe" "$(dirname "$0")/SystemNetMail.cs"
exec mono "$WORK/mail.exe"
