#!/bin/sh
# snapshot.sh VERSION: keeps the public headers as they are now, without comments, as tests/abi/VERSION/det/, before that version is
# released: programs that were built with them must run for ever after (docs/abi.md).
set -eu
cd "$(dirname "$0")/../.."
folder=tests/abi/$1/det
mkdir -p "$folder"
for header in libdet/include/det/*.h; do
    name=$(basename "$header")
    {
        echo "/* det/$name of version $1, without its comments (tests/abi/snapshot.sh). */"
        gcc -fpreprocessed -dD -E -P -w "$header"
    } > "$folder/$name"
done
clang-format -i "$folder"/*.h
