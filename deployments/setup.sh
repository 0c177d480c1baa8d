#!/bin/sh
# Sets up what Inktally needs on this machine: Tesseract with English, a Java runtime for Spark, the locked Python
# environment in .venv, and the JVM's class-data archive; where apt offers them also the other languages below.
# What it is for may follow, each with all before it; what was set up once stays:
#   page   the packages of the upload page and the REST API
#   up     those of `make up`
#   dev    those of the checks and tests
#   tests  Ceph, pdftotext, Chromium, and fonts and models for some more scripts
# Or `uv` alone: uv as deployments/uv.txt pins it, in .venv-tools.
# May be repeated at will; with nothing to do it is silent and takes a few hundredths of a second.
set -eu
cd "$(dirname "$0")/.."

tesseract=${INKTALLY_TESSERACT:-tesseract}
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
languages="deu frk fra spa dan ces osd" # frk is Fraktur; osd tells scripts apart
# What .venv holds: 0 what runs, 1 the page too, 2 `make up` too, 3 everything.
case ${1:-} in
  '') level=0 ;;
  page) level=1 ;;
  up) level=2 ;;
  dev | tests) level=3 ;;
  uv) level=none ;;
  *) echo "usage: deployments/setup.sh [page|up|dev|tests|uv]" >&2 && exit 2 ;;
esac
for_tests="ceph-mon ceph-osd ceph-mgr radosgw ceph-common poppler-utils chromium"
fonts="fonts-dejavu fonts-liberation fonts-freefont-ttf fonts-noto-core" # pages are drawn with them
scripts="ara heb hin tha"                                                # models that the tests read pages with

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
  say "installing with apt, up to 50 MB to fetch: $(echo $packages)"
  apt_install $packages || give_up
  look
  [ -z "$missing" ] || give_up
}

find_uv() { if has uv; then uv=uv; else pinned_uv; fi; }

pinned_uv() { # its files are known by their hashes
  uv=.venv-tools/bin/uv
  wanted=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' deployments/uv.txt)
  case $($uv --version 2>/dev/null) in "uv $wanted" | "uv $wanted "*) return ;; esac
  say "installing uv $wanted, which installs Python packages, in .venv-tools"
  python3 -m venv --clear .venv-tools &&
    .venv-tools/bin/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r deployments/uv.txt
}

packages_of_level() {
  case $level in
    0) echo --no-dev ;;
    1) echo --no-dev --extra page ;;
    2) echo --no-dev --extra up ;;
  esac
}

# On a terminal uv shows how far it is; as JSON, which goes nowhere, it leaves out the list of all packages at the end.
install_environment() {
  find_uv
  progress=--quiet
  if [ -t 2 ] && $uv sync --help 2>/dev/null | grep -q -e --output-format; then progress="--output-format json"; fi
  size="160 packages, 0.8 GB to fetch, 1.6 GB on disk"
  [ "$level" -lt 3 ] || size="240 packages, 1.0 GB to fetch, 2.3 GB on disk"
  say "making the Python environment in .venv ($size; a minute or two, the first time)"
  UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv \
    $uv sync --locked $(packages_of_level) --compile-bytecode $progress >/dev/null || {
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
  say "installing models of Tesseract (up to 10 MB to fetch) for more languages:$lacking"
  if apt_works && as_root apt-get update -qq && apt_install $(printf ' tesseract-ocr-%s' $lacking); then return; fi
  say "they cannot be had here; pictures in these languages will not be read"
}

install_for_tests() { # they do with moto, and without pdftotext and a browser, where these cannot be had
  install_scripts
  has radosgw && has ceph-mon && has ceph-osd && has ceph-mgr && has ceph && has pdftotext && has chromium && return
  [ -e .venv/.no-ceph ] && return
  say "installing with apt Ceph, a real S3 server for the tests, pdftotext and Chromium (200 MB to fetch)"
  if apt_works && as_root apt-get update -qq && apt_install $for_tests; then return; fi
  say "they cannot be had here; the S3 tests do with moto"
  touch .venv/.no-ceph
}

install_scripts() { # without them, tests of pages in these scripts and fonts are skipped
  lacking=$(languages=$scripts lacking_languages)
  [ -z "$lacking" ] && [ -e /usr/share/fonts/truetype/noto/NotoSansThai-Regular.ttf ] && return
  [ -e .venv/.no-scripts ] && return
  say "installing with apt fonts, and models of Tesseract for the tests (50 MB to fetch)"
  if apt_works && as_root apt-get update -qq && apt_install $fonts $(printf ' tesseract-ocr-%s' $scripts); then return; fi
  say "they cannot be had here; tests that need them are skipped"
  touch .venv/.no-scripts
}

prepare_spark() {
  say "preparing Spark to start faster (160 MB on disk; half a minute, the first time)"
  .venv/bin/python -m deployments.class_data >/dev/null || say "that did not work; Spark starts a few seconds slower"
}

# The state that the last complete run left: the inputs, and where the tools were found.
state() {
  cat pyproject.toml uv.lock deployments/setup.sh deployments/uv.txt deployments/class_data.py | cksum
  readlink -f "$(command -v "$tesseract")" "$(command -v "$java")" 2>/dev/null || true
}

if [ "$level" = none ]; then
  pinned_uv
  exit
fi
installed=$(cat .venv/.level 2>/dev/null || if [ -x .venv/bin/ruff ]; then echo 3; else echo -1; fi) # uv's sync by hand
if [ ! -x .venv/bin/python ] || [ "$level" -gt "$installed" ] || [ "$(state)" != "$(cat .venv/.set-up 2>/dev/null)" ]; then
  [ "$level" -gt "$installed" ] || level=$installed
  install_tools
  install_languages
  install_environment
  prepare_spark
  echo "$level" >.venv/.level
  state >.venv/.set-up
  say "done"
fi
if [ "${1:-}" = tests ]; then
  pinned_uv
  install_for_tests
fi
