
# Makes the keys of each request, for as long as it runs.

# field NAME REQUEST: a field of a request, which is one line of JSON without escapes.
field() {
	sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$2"
}

# answer REQUEST: makes what it asks for, unless that is there.
answer() {
	private=$(field private_key "$1")
	public=$(field public_key "$1")
	if [ -z "$private" ] || [ -z "$public" ]; then
		echo "$1 is no request: it needs private_key and public_key" >&2
		return
	fi
	type=$(field type "$1")
	size=$(field size "$1")
	if ! [ -e "$private" ]; then
		rm -f "$public"
		case $keygen in
		*openssh*) "$keygen" -q -N '' -C '' -t "${type:-rsa}" -f "$private" -b "${size:-4096}" ;;
		*) "$keygen" -t "${type:-rsa}" -f "$private" -s "${size:-4096}" ;;
		esac || return 1
	fi
	if ! [ -e "$public" ]; then
		told=$("$keygen" -f "$private" -y) || return 1
		line=$(printf '%s\n' "$told" | sed -n '/^[a-z][a-z0-9@.-]* AAAA/{s/^\([^ ]* [^ ]*\).*/\1/p;q;}')
		printf %s "$line" > "$public.new" && mv -f "$public.new" "$public"
	fi
}

while :; do
	for request in "$requests"/*; do
		! [ -f "$request" ] || answer "$request" || exit 1
	done
	sleep 5
done
