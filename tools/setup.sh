#!/usr/bin/env bash
# Set up .venv for one purpose: setup.sh demo|test|dev. Each includes the one before it.
#
# Needs bash, Python 3.11 or newer, and on Debian nothing else: missing system packages are installed with
# apt-get if that is permitted, else named in one line. Python packages are the versions of
# constraints.txt. Called by the Makefile; the stamp is written last, so that an interrupted run is
# repeated.
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:?usage: tools/setup.sh demo|test|dev}
venv_python=.venv/bin/python

fail() {
    echo "azsim: $*" >&2
    exit 1
}

# A Verilog source in rtl/ makes the RTL tests part of `make test`.
has_rtl() {
    [ -n "$(find rtl -name '*.sv' -print -quit 2>/dev/null)" ]
}

# need_system PACKAGE...: install Debian packages, or say which are missing.
need_system() {
    local how=()
    command -v apt-get >/dev/null || fail "these system packages must be installed first: $*"
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || fail "these packages must be installed first: sudo apt-get install $*"
        how=(sudo -n)
    fi
    echo "azsim: installing system packages: $*"
    how+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq)
    # The package lists of a fresh image are empty: update only if the first try fails.
    "${how[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 && return
    "${how[@]}" update >/dev/null || fail "apt-get update must work to install: $*"
    "${how[@]}" install -y --no-install-recommends "$@" >/dev/null || fail "apt-get must be able to install: $*"
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer must be installed (or named: make PYTHON=/path/to/python3)"
}

make_venv() {
    local python
    "$venv_python" -c 'import pip' 2>/dev/null && return
    python=$(find_python)
    # Debian's python3 comes without ensurepip: `venv` is a package of its own there.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || need_system python3-venv
    rm -rf .venv
    "$python" -m venv .venv || fail "'$python -m venv .venv' must work"
}

pip_install() {
    "$venv_python" -m pip --disable-pip-version-check install -q -c constraints.txt "$@"
}

system_packages_for_rtl() {
    local missing=()
    command -v iverilog >/dev/null || missing+=(iverilog)
    # cocotb embeds Python in the simulator: it needs the shared library of the Python that runs it.
    if ! "$venv_python" -c 'import sys, find_libpython as f; sys.exit(f.find_libpython() is None)'; then
        missing+=("libpython$("$venv_python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')")
    fi
    [ ${#missing[@]} -eq 0 ] || need_system "${missing[@]}"
}

# Chromium, for the tests of HTML pages: where it cannot be had, they are skipped and say so.
browser_for_pages() {
    command -v chromium >/dev/null && command -v chromedriver >/dev/null && return
    (need_system chromium chromium-driver) || echo "azsim: without Chromium the tests of HTML pages are skipped" >&2
}

# Tools of single targets: rtl-volume, rtl-synth, rtl-formal, train.
case $purpose in
    verilator) command -v verilator >/dev/null && command -v g++ >/dev/null || need_system verilator g++; exit ;;
    yosys) command -v yosys >/dev/null || need_system yosys; exit ;;
    train)
        command -v espeak-ng >/dev/null && command -v flite >/dev/null || need_system espeak-ng flite
        pip_install -e ".[train]" --no-build-isolation
        exit ;;
esac

case $purpose in
    demo) extras="" ;;
    test) extras="test,bench,sweep,report,trace" ;;
    dev) extras="dev,bench,sweep,report,trace" ;;
    *) fail "setup.sh: the purpose must be demo, test or dev, not '$purpose'" ;;
esac
if [ -n "$extras" ] && has_rtl; then
    extras+=",rtl"
fi

make_venv
echo "azsim: installing Python packages into .venv for '$purpose' (once; some minutes on a slow line)"
# The build backend first, and no build isolation: so its version is the one of constraints.txt too.
pip_install hatchling
pip_install --no-build-isolation -e ".${extras:+[$extras]}"
case $extras in *rtl*) system_packages_for_rtl ;; esac
case $extras in *test*|*dev*) browser_for_pages ;; esac

case $purpose in
    dev) touch .venv/.setup-demo .venv/.setup-test .venv/.setup-dev ;;
    test) touch .venv/.setup-demo .venv/.setup-test ;;
    demo) touch .venv/.setup-demo ;;
esac
