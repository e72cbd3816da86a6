# Runs the statements of file $3, one a line, on the cluster in directory $2 with the programs of
# directory $1. The server may run: then through its socket, at port $4 (if any), as user $5 in
# database $6; else without any server. The statements, which hold hashes of passwords, are in a
# file and stay out of the log.
set -e
if [ -e "$2/postmaster.pid" ]; then
	status=0
	"$1/pg_ctl" status -D "$2" || status=$?
	case $status in
	0) exec "$1/psql" -X -q -v ON_ERROR_STOP=1 -h "$2" ${4:+-p "$4"} -U "$5" -d "$6" -f "$3" ;;
	3) rm -f "$2/postmaster.pid" ;;
	*) exit "$status" ;;
	esac
fi
# This one ends with 0 whatever the statements do.
status=0
told=$("$1/postgres" --single -D "$2" -c log_min_error_statement=panic postgres < "$3" 2>&1) \
	|| status=$?
printf '%s\n' "$told"
case $told in
*ERROR:* | *FATAL:* | *PANIC:*) exit 1 ;;
esac
exit "$status"
