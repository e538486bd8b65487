# Whether a leaf is there, signed by the CA at $CA, fits its key, says what is wanted, and lasts.
# Set: HELD (pair, pem, kubeconfig), CERT, KEY (paths), CA, SUBJECT, SANS, USAGES, DUE (seconds), SERVER. Read: the
# sum of what we would write, key first.
no() {
	echo "$1"
	exit 1
}
IFS= read -r made || made=
# shellcheck disable=SC2153
field() { sed -n "s/^ *$1: *//p" "$CERT"; }
{ [ -s "$CERT" ] && [ -s "$KEY" ]; } || no 'not there'
both() { if [ "$KEY" = "$CERT" ]; then cat "$CERT"; else cat "$KEY" "$CERT"; fi; }
[ "$(both | sha256sum)" != "$made  -" ] || exit 0
if [ "$HELD" = kubeconfig ]; then
	[ "$(field server)" = "$SERVER" ] || no "names another server than $SERVER"
	[ "$(field certificate-authority-data | base64 -d)" = "$(cat "$CA")" ] || no 'trusts another CA'
	cert=$(field client-certificate-data | base64 -d)
	key=$(field client-key-data | base64 -d)
else
	cert=$(cat "$CERT")
	key=$(cat "$KEY")
fi
facts=$(printf '%s\n' "$cert" | openssl x509 -noout -checkend "$DUE" -subject -nameopt RFC2253 -pubkey -ext subjectAltName,extendedKeyUsage 2>/dev/null) ||
	no "ends in less than $((DUE / 86400)) days"
printf '%s\n' "$cert" | openssl verify -partial_chain -CAfile "$CA" >/dev/null 2>&1 || no 'signed by another CA'
public=$(printf '%s\n' "$key" | openssl pkey -pubout 2>/dev/null) || no 'its key cannot be read'
case $facts in *"$public"*) ;; *) no 'does not fit its key' ;; esac
case $facts in *"subject=$SUBJECT
"*) ;; *) no "has another subject than $SUBJECT" ;; esac
case $facts in *"
    $USAGES
"* | *"
    $USAGES") ;; *) no "has other uses than $USAGES" ;; esac
names=", $(printf '%s\n' "$facts" | grep -E '(DNS|IP Address):' | sed 's/^ *//'), "
# One name a line; an address has a blank in its label.
printf '%s' "$SANS" | while IFS= read -r name; do
	case $names in *", $name, "*) ;; *) no "lacks the name $name" ;; esac
done
