# Run by the shell of a machine: tells of it, lists the files that its Python and libraries are made of, and sends those
# that are named on standard input as a tar archive. It writes nothing, and runs no program but the system's own.
# Variables before: one and two, halves of the mark; python, a program for the machine's Python; whole, empty for facts.
mark="$one$two"
LC_ALL=C
export LC_ALL
section() { printf '\n%s %s\n' "$mark" "$1"; }
section uname; uname -s; uname -m; uname -r
section page; getconf PAGESIZE 2>/dev/null
section cpu; cat /proc/cpuinfo 2>/dev/null
section memory; head -n 1 /proc/meminfo 2>/dev/null
section init; readlink /proc/1/exe 2>/dev/null || cat /proc/1/comm 2>/dev/null
section mounts; cat /proc/mounts 2>/dev/null
section space; df -Pk 2>/dev/null
section login; printf '%s\n' "$PATH"
section services; tr '\000' '\n' < /proc/1/environ 2>/dev/null | grep '^PATH='
# One look at all of them first: a machine has hundreds, and starts no four programs for each in time. What is handed to a
# program is cut: no argument may be longer than 128 KiB.
running=$(for words in $(grep -l python /proc/[0-9]*/cmdline 2>/dev/null); do
    tr '\000' ' ' < "$words" 2>/dev/null | head -n 1 | cut -c 1-500 | grep '^[^ ]*python'
done | head -n 100)
section running; printf '%s\n' "$running"
units=$(grep -hs '^ExecStart=' /etc/systemd/system/*.service /lib/systemd/system/*.service /usr/lib/systemd/system/*.service |
    cut -c 1-500 | head -n 100)
section python; where=$(command -v python3 2>/dev/null) && printf '%s\n' "$where" && "$where" -E -s -B -c "$python" "$running
$units" 2>&1
section modules; ls /lib/modules 2>/dev/null

set -f
roots=
set +f
for folder in /lib* /usr/lib* /usr/local/lib* /opt /bin /usr/bin /usr/local/bin /etc/alternatives /etc/ld.so* /etc/ld-musl-*.path \
    /etc/os-release /etc/pip.conf /etc/xdg/pip /etc/python3*; do
    [ -e "$folder" ] || [ -h "$folder" ] && roots="$roots $folder"
done
pythons='*/python3*'
[ -n "$whole" ] || pythons='*/bin/python3*'
# Of programs, only the Pythons and what they are links to; of the rest, what a loader or a Python opens.
chosen() {
    # shellcheck disable=SC2086
    find $roots \( -path '*/__pycache__' -o -path '*/modules/[0-9]*' \) -prune -o \
        \( -type l -o -type f \( -name '*.so' -o -name '*.so.*' -o -path "$pythons" -o -path '/etc/*' -o -name os-release \) \) \
        "$@" 2>/dev/null
}
section files; chosen -exec ls -lnd {} +
if [ -n "$whole" ]; then
    section hashes
    if command -v sha256sum > /dev/null; then
        chosen -type f -exec sha256sum {} +
    elif [ -n "$where" ]; then
        chosen -type f -print | "$where" -c 'import hashlib, sys
for name in sys.stdin:
    print(hashlib.sha256(open(name[:-1], "rb").read()).hexdigest() + "  " + name[:-1])'
    fi
fi
section tar
# Not every tar takes a list; where there are many files, this is one archive after the other.
if command -v tar > /dev/null && command -v xargs > /dev/null; then
    exec xargs -0 tar -cf - 2>/dev/null
fi
exec "$where" -c 'import os, sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
    for name in filter(None, sys.stdin.buffer.read().split(b"\0")):
        archive.add(os.fsdecode(name))'
