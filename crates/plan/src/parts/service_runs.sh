# Whether a unit runs, is enabled, and its process is what lies on the disk. Set: UNIT.
no() {
	echo "$1"
	exit 1
}
state=$(systemctl show -p ActiveState,UnitFileState,NeedDaemonReload,MainPID "$UNIT")
property() {
	value=${state#*"$1"=}
	value=${value%%
*}
}
property ActiveState
case $value in active | reloading) ;; *) no 'not running' ;; esac
property UnitFileState
[ "$value" = enabled ] || no 'not enabled'
property NeedDaemonReload
[ "$value" = no ] || no 'its unit file changed'
property MainPID
case $(readlink "/proc/$value/exe") in *' (deleted)') no 'it runs an older program' ;; esac
sha256sum -c --status "/run/rekindle-read/$UNIT" || no 'it runs with older files'
