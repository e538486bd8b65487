# What this cluster wrote since a revision: "made KIND COUNT" and "changed KIND COUNT" a line, then "asked". KIND is the
# first parts of the keys. Set: REVISION.
count() {
	awk -v what="$1" '
		index($0, "/registry/") != 1 { next }
		{
			split(substr($0, 11), part, "/")
			kind = part[1]
			if (kind ~ /\./ || kind == "services") kind = kind "/" part[2]
			keys[kind]++
		}
		END { for (kind in keys) { name = kind; gsub(/[^A-Za-z0-9._\/-]/, "?", name); print what, name, keys[kind] } }'
}
made=$(ctl --command-timeout=60s get --prefix /registry/ --keys-only --min-create-rev=$((REVISION + 1))) || exit 1
changed=$(ctl --command-timeout=60s get --prefix /registry/ --keys-only --min-mod-rev=$((REVISION + 1)) --max-create-rev="$REVISION") || exit 1
printf '%s\n' "$made" | count made
printf '%s\n' "$changed" | count changed
echo asked
