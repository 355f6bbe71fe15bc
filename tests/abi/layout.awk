# layout.awk: from a version's headers (tests/abi/VERSION, without comments) a program that prints where each field of each struct lies,
# the size of those that never grow (that do not begin with struct_size), and the value of each constant of an enum. Compiled with
# those headers and with today's, it must print the same (abi.mk). It repeats the functions' declarations: of another type than
# today's they do not compile.
BEGIN {
    print "#include <stddef.h>\n#include <stdio.h>\n#include \"det/det.h\""
}

# Of main(), which stands behind the declarations.
function print_line(line)
{
    body = body line "\n"
}

function print_field(type, name)
{
    sub(/\[.*/, "", name)
    gsub(/[^A-Za-z0-9_ ]/, " ", name)
    sub(/ +$/, "", name)
    sub(/.* /, "", name)
    if (name == "reserved")
        return # until a field takes its place
    print_line(sprintf("    printf(\"%s.%s at %%zu, %%zu bytes\\n\", offsetof(%s, %s), sizeof((%s *)0)->%s);", type, name, type, name, type, name))
    if (name == "struct_size")
        grows = 1
}

# "const float *a, *b" and "void (*write)(void *user, ...)"
function print_fields(type, text,    i, count, parts)
{
    if (match(text, /\(\*[a-z_]+\)\(/)) {
        print_field(type, substr(text, RSTART + 2, RLENGTH - 4))
        return
    }
    count = split(text, parts, ",")
    for (i = 1; i <= count; i++)
        print_field(type, parts[i])
}

/^DET_(NODISCARD|API) / && !/ static inline / { declares = 1 }
declares { print }
/;$/ { declares = 0 }
/^typedef struct [a-z_]+ {/ { type = $3; text = ""; grows = 0; next }
/^typedef enum [a-z_]+ {/ { enum = 1; next }
/^}/ {
    if (type != "" && !grows)
        print_line(sprintf("    printf(\"%s of %%zu bytes\\n\", sizeof(%s));", type, type))
    type = ""
    enum = 0
}
type != "" {
    text = text " " $0
    if (text ~ /;$/) {
        sub(/;$/, "", text)
        print_fields(type, text)
        text = ""
    }
}
enum && /^ +DET_[A-Z0-9_]+( =.*)?,?$/ && !/_COUNT/ {
    name = $1
    sub(/,.*/, "", name)
    print_line(sprintf("    printf(\"%s = %%d\\n\", (int)%s);", name, name))
}
/^ +X\([A-Z_]+, "/ {
    name = $1
    gsub(/X\(|,/, "", name)
    print_line(sprintf("    printf(\"DET_STATUS_%s = %%d\\n\", (int)DET_STATUS_%s);", name, name))
}
END {
    print "int main(void)\n{\n" body "    return 0;\n}"
}
