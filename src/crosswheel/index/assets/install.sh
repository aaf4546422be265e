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
installer=${CROSSWHEEL_STORE:-/var/user-packages/crosswheel}/installer.pyz
if [ -e "$installer" ] && [ -z "${CROSSWHEEL_UNSIGNED:-}" ]; then
    # This machine knows who signs what is installed here: wheels are fetched, compared with what is signed, then installed.
    wheels=$(mktemp -d "$folder/.wheels.XXXXXX")
    trap 'rm -rf "$wheels"' EXIT
    # The index of one target lies below that which is signed.
    wget -q -O "$wheels/signed.json" "$index/signed.json" || wget -q -O "$wheels/signed.json" "${index%/*}/signed.json" || {
        echo "error: $index is not signed, and this machine takes only what is; CROSSWHEEL_UNSIGNED=1 takes it all the same" >&2
        exit 2
    }
    pip --python "$folder/bin/python" download --quiet --dest "$wheels" --only-binary :all: --disable-pip-version-check \
        --index-url "$index/simple/" "$@" "$exact"
    python3 "$installer" check "$wheels"
    set -- --no-index --find-links "$wheels"
else
    echo "warning: nothing on this machine tells who made these wheels: see docs/trust.md of crosswheel" >&2
    set -- --index-url "$index/simple/" "$@"
fi
# --root: the system's pip.conf may send packages elsewhere.
pip --python "$folder/bin/python" install --root / --only-binary :all: --disable-pip-version-check \
    "$@" "$exact"
echo "The programs are in $folder/bin."
