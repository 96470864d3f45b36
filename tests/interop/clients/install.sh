#!/bin/sh
# Installs every client on Debian 12, as root: `sh tests/interop/clients/install.sh [TOOLS]`.
set -eu
tools=${1:-$(cd "$(dirname "$0")/../../.." && pwd)/.interop}
export DEBIAN_FRONTEND=noninteractive
echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
    curl msmtp mutt postfix libsasl2-modules s-nail swaks libnet-ssleay-perl \
    libauthen-sasl-perl libemail-mime-perl libemail-sender-perl libio-socket-ssl-perl \
    libnet-smtp-ssl-perl golang-go libactivation-java libmail-java libmono-system4.0-cil mono-mcs mono-runtime \
    libphp-phpmailer php-cli php-mbstring ruby > /dev/null
# A machine may have these from elsewhere, and Debian's would not go beside them.
command -v java > /dev/null || apt-get install -y -qq --no-install-recommends \
    default-jdk-headless > /dev/null
command -v npm > /dev/null || apt-get install -y -qq --no-install-recommends npm > /dev/null

# Debian lets only one mail server be installed, and three are wanted.
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
chmod 755 "$packages"
(cd "$packages" && apt-get download -qq exim4-daemon-light nullmailer 2> /dev/null)
mkdir -p "$tools"
dpkg -x "$packages"/exim4-daemon-light_*.deb "$tools/exim"
dpkg -x "$packages"/nullmailer_*.deb "$tools/nullmailer"
id Debian-exim > /dev/null 2>&1 || useradd --system --shell /usr/sbin/nologin Debian-exim

mkdir -p "$tools/node"
npm install --silent --no-audit --no-fund --prefix "$tools/node" nodemailer@10
