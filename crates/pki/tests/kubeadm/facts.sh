#!/bin/sh
# Prints what openssl reads in the PKI files below ROOT (etc/kubernetes/..., as on a node), one block a file:
#
#   sh facts.sh ROOT
#
# The .txt files beside this one are its output on what `kubeadm init phase certs all` and
# `kubeadm init phase kubeconfig all` made from the configuration that each begins with.
set -eu
cd "$1"

certificate() {
    openssl x509 -noout -subject -issuer -nameopt RFC2253 \
        -ext keyUsage,extendedKeyUsage,basicConstraints,subjectAltName
}

embedded() { sed -n "s/^ *$1: //p" "$2" | base64 -d; }

find . -type f | LC_ALL=C sort | while read -r file; do
    echo "== ${file#.} $(stat -c %a "$file")"
    case $file in
    *.crt | *.pem) certificate <"$file" ;;
    *.key) openssl pkey -noout -text -in "$file" | sed -n 1p ;;
    *.pub) openssl pkey -pubin -noout -text -in "$file" | sed -n 1p ;;
    *.conf)
        sed -n 's/^ *\(server\|current-context\): /&/p' "$file" | sed 's/^ *//'
        if grep -q client-certificate-data "$file"; then
            embedded client-certificate-data "$file" | certificate
        else
            certificate <".$(sed -n 's/^ *client-certificate: //p' "$file")"
        fi
        ;;
    esac
done
