#!/usr/bin/env bash
# Post the one comment of a pull request that says what it changes, or update it. Needs `reprise`, `gh` and GH_TOKEN.
#   .github/comment.sh BASE NUMBER
set -euo pipefail
base=$1 number=$2
mark='<!-- reprise diff -->'
comments="repos/$GITHUB_REPOSITORY/issues/$number/comments"
PATH="$(dirname "$0")/../.venv/bin:$PATH"

body=$(mktemp)
trap 'rm -f "$body"' EXIT
{
  echo "$mark"
  echo "### What this changes"
  echo
  reprise diff "$base"
} > "$body"
if [ "$(wc -c < "$body")" -gt 65000 ]; then # GitHub takes 65,536 characters
  { head -c 64000 "$body"; printf '\n\n(cut: run `reprise diff %s`)\n' "$base"; } > "$body.cut"
  mv "$body.cut" "$body"
fi
cat "$body" >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"

own=$(gh api --paginate "$comments" --jq ".[] | select(.body | startswith(\"$mark\")) | .id" | head -n 1)
if [ -n "$own" ]; then
  gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$own" --field "body=@$body"
else
  gh api --silent --method POST "$comments" --field "body=@$body"
fi
