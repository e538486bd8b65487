set -eu
[ -r /proc/version ]
command -v stat >/dev/null
[ -d /etc ]
grep -q '^root:' /etc/passwd
[ ! -e /srv/refused ]
mkdir -p /srv/app
mkdir -p /srv/app/data
mkdir -p /srv/app/log
mkdir -p /srv/app/conf.d
mkdir -p /srv/app/spool
@FILES@
chmod 0750 /srv/app/run.sh
ln -sf conf.d/0.conf /srv/app/current
grep -qx 'listen = 1' /srv/app/lines 2>/dev/null || echo 'listen = 1' >>/srv/app/lines
