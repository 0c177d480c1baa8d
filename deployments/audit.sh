#!/bin/sh
# Asks an advisory database (OSV, or the one that ADVISORIES names) for known vulnerabilities of the packages that uv.lock
# pins, those of the tests among them. Ends with 0: none is known, 1: some are, 3: nothing was checked.
set -u
cd "$(dirname "$0")/.."

.venv-tools/bin/uv audit --locked --preview-features audit-command ${ADVISORIES:+--service-url "$ADVISORIES"}
status=$?
cat >&2 <<'END'

What this does not check:
- What apt installs (Tesseract and its models, Java, PostgreSQL, Redis, Ceph). Its signatures were checked when it was
  installed. Known vulnerabilities: `debsecan` or the security tracker of the distribution.
- Native code inside wheels (libtiff, pdfium, Leptonica, ICU, the jars of Spark), beyond what advisories say of the package.
- The Python that runs it.
END
[ "$status" -le 1 ] && exit "$status"
echo "audit: NOTHING WAS CHECKED, because no advisory database answered; uv says why above." >&2
echo "audit: what holds without one: uv.lock and deployments/uv.txt pin each file by its SHA-256." >&2
exit 3
