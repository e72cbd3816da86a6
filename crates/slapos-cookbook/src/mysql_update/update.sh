
# Upgrades the tables of a server, runs a script of SQL on it and loads the time zones; again and
# again until all that works, because the server may still be starting.

failed() {
	echo "$1 failed:" >&2
	printf '%s\n' "$2" >&2
	return 1
}

update() {
	told=$("$upgrade" 2>&1) || failed "$upgrade" "$told" || return
	printf '%s\n' "$told"
	told=$("$mysql" -B < "$script" 2>&1) || failed "$mysql -B < $script" "$told" || return
	[ -d "$zoneinfo" ] || return 0
	zones=$("$tzinfo" "$zoneinfo") || failed "$tzinfo $zoneinfo" '' || return
	told=$(printf '%s\n' "$zones" | "$mysql" -B mysql 2>&1) || failed "$mysql -B mysql" "$told"
}

pause=0
until update; do
	pause=$((pause < 30 ? pause + 1 : 30))
	echo "trying again in $pause s"
	sleep "$pause"
done
echo 'the database is up to date'
