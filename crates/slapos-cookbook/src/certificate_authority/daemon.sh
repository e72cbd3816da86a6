
# Makes the certificate of the authority, then one for each request, for as long as it runs.
# A key and its certificate get their names when both are whole.

# make KEY CERTIFICATE COMMAND: runs COMMAND, which makes KEY.new and CERTIFICATE.new.
make() {
	(umask 077; : > "$1.new") && "$3" "$1.new" "$2.new" \
		&& mv -f "$1.new" "$1" && mv -f "$2.new" "$2" && return
	rm -f "$1.new" "$2.new" "$2.new.csr"
	return 1
}

authority() {
	read -r id < /proc/sys/kernel/random/uuid
	printf 'Certificate Authority %s\n' "$id" | "$openssl" req -utf8 -nodes -config "$config" \
		-new -sha256 -x509 -extensions v3_ca -keyout "$1" -out "$2" -days 10950
}

# signed KEY CERTIFICATE: for $name.
signed() {
	printf '%s\n' "$name" | "$openssl" req -config "$config" -nodes -new -sha256 \
		-keyout "$1" -out "$2.csr" \
		&& "$openssl" ca -batch -config "$config" -out "$2" -infiles "$2.csr" \
		&& rm -f "$2.csr"
}

# answer REQUEST: makes what it asks for, unless that is there.
answer() {
	name= key_file= certificate_file=
	while IFS= read -r line; do
		case $line in
		'name = '*) name=${line#name = };;
		'key_file = '*) key_file=${line#key_file = };;
		'certificate_file = '*) certificate_file=${line#certificate_file = };;
		esac
	done < "$1"
	if [ -z "$name" ] || [ -z "$key_file" ] || [ -z "$certificate_file" ]; then
		echo "$1 is no request: it needs name, key_file and certificate_file" >&2
	elif ! [ -e "$key_file" ] || ! [ -e "$certificate_file" ]; then
		if make "$key_file" "$certificate_file" signed; then
			echo "Created certificate '$name'"
		else
			echo "cannot make the certificate '$name' that $1 asks for" >&2
		fi
	fi
}

while :; do
	if ! [ -e "$key" ] || ! [ -e "$certificate" ]; then
		make "$key" "$certificate" authority || exit 1
	fi
	for request in "$requests"/*; do
		! [ -f "$request" ] || answer "$request"
	done
	sleep 5
done
