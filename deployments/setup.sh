#!/bin/sh
# Sets up what Inktally needs on this machine: Tesseract with English, a Java runtime for Spark, the locked Python
# environment in .venv, and the JVM's class-data archive; where apt offers them also the other languages below, and
# with --tests Ceph, pdftotext and Chromium.
# May be repeated at will; with nothing to do it is silent and takes a few hundredths of a second.
set -eu
cd "$(dirname "$0")/.."

tesseract=${INKTALLY_TESSERACT:-tesseract}
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
languages="deu frk fra spa dan ces osd" # frk is Fraktur; osd tells scripts apart
for_tests="ceph-mon ceph-osd ceph-mgr radosgw ceph-common poppler-utils chromium"

say() { printf 'setup: %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

has_tesseract() { "$tesseract" --list-langs 2>/dev/null | grep -qx eng; }
has_java() { # 17 or newer; Java 8 calls itself "1.8"
  version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  [ "${version:-0}" -ge 17 ]
}
has_uv() { has uv || [ -x .venv-tools/bin/uv ] || python3 -c 'import ensurepip, venv' 2>/dev/null; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
apt_works() { has apt-get && as_root true 2>/dev/null; }
apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "$@" </dev/null >/dev/null
}
java_package() { # the oldest that Spark runs on and this release offers
  offered=$(apt-cache search --names-only '^openjdk-(17|21|25)-jre-headless$' 2>/dev/null | sort | sed -n '1s/ .*//p')
  echo "${offered:-default-jre-headless}"
}

# What stands missing: in words for people, as packages for apt.
look() {
  missing='' packages=''
  has_tesseract || { missing="$missing, Tesseract with English"; packages="tesseract-ocr tesseract-ocr-eng"; }
  has_java || { missing="$missing, a Java runtime (17 or newer)"; packages="$packages $(java_package)"; }
  has_uv || { missing="$missing, Python's venv module (or uv)"; packages="$packages python3-venv"; }
  missing=${missing#, }
}

give_up() {
  say "missing here: $missing. Install this, then run make again:"
  cat >&2 <<END
  Debian, Ubuntu:  sudo apt-get update && sudo apt-get install -y $(echo $packages)
  Fedora, RHEL:    sudo dnf install -y tesseract tesseract-langpack-eng java-21-openjdk-headless python3
  macOS:           brew install tesseract uv && brew install --cask temurin@21
Where Java is installed but not found, or an older one is found first, set JAVA_HOME.
END
  exit 1
}

install_tools() {
  look
  [ -z "$missing" ] && return
  apt_works || give_up
  as_root apt-get update -qq || say "apt-get update did not quite work; going on with the lists at hand"
  look # the name of Java's package is known only now
  say "installing $(echo $packages)"
  apt_install $packages || give_up
  look
  [ -z "$missing" ] || give_up
}

install_environment() {
  if has uv; then
    uv=uv
  else
    uv=.venv-tools/bin/uv
    [ -x $uv ] || { python3 -m venv --clear .venv-tools && .venv-tools/bin/python -m pip install -q --disable-pip-version-check 'uv>=0.9,<1'; }
  fi
  say "making the Python environment in .venv (several hundred MB to fetch, the first time)"
  UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv $uv sync --locked --compile-bytecode --quiet || {
    say "the Python environment could not be made; uv says why above. It takes a Python $(requires_python)."
    exit 1
  }
}
requires_python() { sed -n 's/^requires-python = "\([^"]*\)".*/\1/p' pyproject.toml; }

lacking_languages() {
  installed=$("$tesseract" --list-langs 2>/dev/null)
  for language in $languages; do
    echo "$installed" | grep -qx "$language" || printf ' %s' "$language"
  done
}

install_languages() { # pictures in others are refused with the command that installs theirs
  lacking=$(lacking_languages)
  [ -z "$lacking" ] && return
  say "installing models of Tesseract for more languages:$lacking"
  if apt_works && as_root apt-get update -qq && apt_install $(printf ' tesseract-ocr-%s' $lacking); then return; fi
  say "they cannot be had here; pictures in these languages will not be read"
}

install_for_tests() { # they do with moto, and without pdftotext and a browser, where these cannot be had
  has radosgw && has ceph-mon && has ceph-osd && has ceph-mgr && has ceph && has pdftotext && has chromium && return
  [ -e .venv/.no-ceph ] && return
  say "installing Ceph, a real S3 server for the tests, pdftotext and Chromium"
  if apt_works && as_root apt-get update -qq && apt_install $for_tests; then return; fi
  say "they cannot be had here; the S3 tests do with moto"
  touch .venv/.no-ceph
}

# The state that the last complete run left: the inputs, and where the tools were found.
state() {
  cat pyproject.toml uv.lock deployments/setup.sh deployments/class_data.py | cksum
  readlink -f "$(command -v "$tesseract")" "$(command -v "$java")" 2>/dev/null || true
}

if [ ! -x .venv/bin/python ] || [ "$(state)" != "$(cat .venv/.set-up 2>/dev/null)" ]; then
  install_tools
  install_languages
  install_environment
  .venv/bin/python -m deployments.class_data || say "no class-data archive; Spark starts a few seconds slower"
  state >.venv/.set-up
fi
if [ "${1:-}" = --tests ]; then install_for_tests; fi
