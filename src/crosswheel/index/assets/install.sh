#!/bin/sh
# Installs a program from this index into an environment of its own, where a system's packages would clash with it:
#   wget -qO- http://INDEX/install.sh | sh -s -- http://INDEX prefect==3.3.4 [FOLDER]
set -eu
if [ $# -lt 2 ]; then
    echo "usage: install.sh INDEX REQUIREMENT [FOLDER]" >&2
    exit 2
fi
index=${1%/} requirement=$2
# An exact version means the ordinary wheel of it, not one with a closure inside for plain pip (3.3.4+ot2).
exact=$(printf %s "$requirement" | sed 's/^\([A-Za-z0-9._-]*\(\[[^]]*\]\)\{0,1\}\) *== *\([A-Za-z0-9.!+]*\)$/\1===\3/')
name=$(printf %s "$requirement" | sed 's/[^A-Za-z0-9._-].*//')
folder=${3:-/var/crosswheel/$name}

# pip refuses an index without TLS unless its host is trusted. One with TLS is never trusted: its certificate is checked.
# The host of a URL is between the user and the path (RFC 3986, section 3.2).
authority=${index#*://}
authority=${authority%%[/?#]*}
case $index in
    [Hh][Tt][Tt][Pp]://*) set -- --trusted-host "${authority##*@}" ;;
    *) set -- ;;
esac

# Without pip in it: a system's Python may lack ensurepip, and the system's own pip can install into other folders.
[ -e "$folder/pyvenv.cfg" ] || python3 -m venv --without-pip "$folder"
# --root: the system's pip.conf may send packages elsewhere.
pip --python "$folder/bin/python" install --root / --only-binary :all: --disable-pip-version-check \
    --index-url "$index/simple/" "$@" "$exact"
echo "The programs are in $folder/bin."
