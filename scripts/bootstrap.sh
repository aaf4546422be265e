# Sourced by ./build-packages and ./run-tests: makes the checkout's private environment in .venv, from
# requirements with hashes, and does nothing when that is up to date. Needs bash, and uv or a Python >= 3.10.
#
# Usage: bootstrap run|test

die() {
    printf 'crosswheel: %s\n' "$@" >&2
    exit 2
}

# Tells whether a Python is new enough; what follows the name is what else it has to be able to import.
is_new_enough() {
    "$1" -c "import sys${2:+, $2}; sys.exit(sys.version_info < (3, 10))" 2>/dev/null
}

# Prints a Python >= 3.10 that can make environments, or nothing.
find_python() {
    local candidate
    for candidate in "${CROSSWHEEL_PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10 python3.14; do
        if [ -n "$candidate" ] && is_new_enough "$candidate" "venv, ensurepip"; then
            printf '%s' "$candidate"
            return
        fi
    done
}

# Prints what there is instead, for people.
describe_python() {
    local found
    found=$("${CROSSWHEEL_PYTHON:-python3}" --version 2>/dev/null) || { printf 'there is none'; return; }
    if is_new_enough "${CROSSWHEEL_PYTHON:-python3}"; then
        printf '%s is here without its venv module' "$found"
    else
        printf '%s is too old' "$found"
    fi
}

# Prints the program by which the pip of the Python $1 runs under another Python, or nothing if it has none: it is what
# `pip --python` starts (pip 22.3 and later).
pip_runner() {
    "$1" -c "import os, pip; print(os.path.join(os.path.dirname(pip.__file__), '__pip-runner__.py'))" 2>/dev/null || true
}

# Sets pip to the command that installs into the environment $1: its own, or else that of the Python it was made with.
find_pip() {
    pip=("$1/bin/python" -m pip)
    [ -x "$1/bin/pip" ] ||
        pip=("$1/bin/python" "$(pip_runner "$("$1/bin/python" -c "import sys; print(sys._base_executable)")")")
}

# Makes $1, an empty environment.
new_environment() {
    local python pip
    rm -rf "$1"
    if command -v uv >/dev/null 2>&1; then
        uv venv --quiet --python "${CROSSWHEEL_PYTHON:->=3.10}" --python-preference system --seed "$1" && return
    fi
    python=$(find_python)
    if [ -z "$python" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "crosswheel: installing python3-venv with apt-get" >&2
        apt-get update -qq && apt-get install -y -qq python3-venv >&2
        python=$(find_python)
    fi
    [ -n "$python" ] || die "needs a Python 3.10 or newer with its venv module, and $(describe_python)." \
        "On Debian 12, Ubuntu 22.04 and later: apt-get install python3-venv. Anywhere: install uv (pip install uv)," \
        "and run the same command again: uv brings a Python along."
    # A pip of its own takes two of three seconds to install, and then installs one package.
    "$python" -m venv --without-pip "$1" && find_pip "$1" &&
        { "${pip[@]}" --version >/dev/null 2>&1 || "$1/bin/python" -Im ensurepip --default-pip >/dev/null; } ||
        die "could not make an environment in $1 with $python."
}

# Prints the address of the registry that pip is set up to install from, or nothing where that is its default.
pip_registry() {
    # Sorted by name: what is set for `pip install` comes after, and goes before, what is set for all commands.
    "${pip[@]}" config list 2>/dev/null | sed -n "s/^\(global\|install\)\.index-url='\(.*\)'$/\2/p" | tail -n 1
}

# Installs crosswheel's requirements ($2) and its checkout ($3) into the environment $1. pip brings uv, by its hashes;
# uv installs the rest, all at the same time: pip takes five times the processor time, and downloads one by one. uv
# does not read pip's settings, so it is told them; where it still cannot do it, pip does it.
install_requirements() {
    local pip by_pip
    find_pip "$1"
    by_pip=("${pip[@]}" --disable-pip-version-check install --quiet)
    "${by_pip[@]}" --require-hashes -r <(sed -n '/^uv==/,/^[^ ]/{/^uv==/p;/^ /p;}' "$2") || return
    (
        registry=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-${PIP_INDEX_URL:-$(pip_registry)}}}
        [ -z "$registry" ] || export UV_DEFAULT_INDEX="$registry"
        [ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"
        uv=("$1/bin/uv" pip install --quiet --python "$1/bin/python")
        "${uv[@]}" --require-hashes -r "$2" && "${uv[@]}" --no-deps --no-build-isolation -e "$3"
    ) || { "${by_pip[@]}" --require-hashes -r "$2" && "${by_pip[@]}" --no-deps --no-build-isolation -e "$3"; }
}

bootstrap() {
    # Who the system trusts, uv shall trust, too.
    if [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ]; then
        export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
    fi
    local root=$1 requirements="$1/requirements/$2.txt" venv="$1/.venv" stamp
    # The stamp names what the environment was made from; 'test' holds all that 'run' does.
    stamp=$(cat "$requirements" "$root/pyproject.toml" | cksum)
    if [ -x "$venv/bin/crosswheel" ] && grep -qsFx "$2 $stamp $root" "$venv/.crosswheel-stamps"; then
        return
    fi
    echo "crosswheel: preparing $venv" >&2
    if ! is_new_enough "$venv/bin/python"; then
        new_environment "$venv"
    fi
    install_requirements "$venv" "$requirements" "$root" ||
        die "could not install crosswheel's own requirements (the reason is above)." \
            "With a network problem, simply try again; behind a mirror, set PIP_INDEX_URL. Where the network looks into" \
            "TLS, its certificate has to be in the system's store, or in a file that PIP_CERT names."
    if [ "$2" = test ]; then
        echo "run $(cat "$root/requirements/run.txt" "$root/pyproject.toml" | cksum) $root"
    fi > "$venv/.crosswheel-stamps"
    echo "$2 $stamp $root" >> "$venv/.crosswheel-stamps"
}
