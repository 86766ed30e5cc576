#!/usr/bin/env bash
# Check this bag with bash, coreutils, ssh-keygen, openssl and pdfsig alone; nothing is written, nothing is fetched.
#
#     bash check.sh [FOLDER]
#
# Exit code 0: ok; 4: damaged, and each problem is printed; 6: a program is missing. SIGNERS=FILE and ROOTS=FILE give the
# keys (an allowed-signers file) and the authorities' certificates (PEM) that you trust instead of those in the bag.
set -u
export LC_ALL=C
shopt -s globstar dotglob nullglob
cd -- "${1:-$(dirname -- "${BASH_SOURCE[0]}")}" || exit 6
for tool in sha256sum sha512sum cat cut sort tail date ssh-keygen openssl pdfsig; do
    command -v "$tool" > /dev/null || { echo "this check needs $tool"; exit 6; }
done
bad=0
problem() { printf 'DAMAGED  %q: %s\n' "$1" "$2"; bad=4; }
note() { printf 'note     %s\n' "$1"; }

# 1. Plain files only, and every folder holds something.
declare -A here
for one in **; do
    if [[ -L $one ]]; then problem "$one" "a symlink"
    elif [[ -f $one ]]; then here[$one]=1
    elif [[ -d $one ]]; then within=("$one"/*); [[ ${#within[@]} -gt 0 ]] || problem "$one" "an empty folder"
    else problem "$one" "no plain file"
    fi
done
declare -A alike
layout='^((bagit|bag-info|README|(tag)?manifest-sha(256|512))\.txt|manifest-sha256\.txt\.sig|check\.sh|verify\.py|data/(handoff\.json|redactions\.json|case-uco\.jsonld|allowed_signers|authority_roots\.pem|(report|results|seals)/[A-Za-z0-9_.@+-]+|[A-Za-z0-9_.-]+/(custody\.jsonl|(exhibits|seals)/[A-Za-z0-9_.@+-]+)))$'
for one in "${!here[@]}"; do
    [[ $one =~ $layout ]] || problem "$one" "nothing of this name belongs into a bag"
    [[ ${alike[${one,,}]+x} ]] && problem "$one" "another file has this name but for the case of letters"
    alike[${one,,}]=1
done
[[ -e fetch.txt || -L fetch.txt ]] && problem fetch.txt "a bag of ours fetches nothing"
for one in bagit.txt bag-info.txt {,tag}manifest-sha{256,512}.txt; do
    [[ ${here[$one]+x} ]] || problem "$one" "missing"
done
[[ $(cat bagit.txt) == $'BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8' ]] || problem bagit.txt "not BagIt 1.0"

# 2. Both lists name the same files, which are all that is here, and each has its digests.
declare -A sum256 sum512
lists() { # lists manifest-sha256.txt sum256 64 payload
    local -n sums=$2
    local line name last=""
    [[ -f $1 ]] || return
    [[ -z $(tail -c 1 "$1") ]] || problem "$1" "its last line does not end"
    while IFS= read -r line || [[ -n $line ]]; do
        name=""
        [[ $line =~ ^([0-9a-f]{$3})\ \ ([^[:space:]]+)$ ]] && name=${BASH_REMATCH[2]}
        [[ $name > $last ]] || problem "$1" "its lines are not in their order"
        last=$name
        if [[ -n $name && ! ${sums[$name]+x} && /$name/ != */../* ]]; then
            sums[$name]=${BASH_REMATCH[1]}
            case $name in data/*) [[ $4 == payload ]] ;; *) [[ $4 == tag ]] ;; esac \
                || problem "$name" "$1 lists it, and it is no $4 file"
        else
            problem "$1" "cannot be read: ${line@Q}"
        fi
    done < "$1"
    "sha${2#sum}sum" --check --strict --quiet "$1" 2>&1 | while IFS= read -r line; do printf '         %q\n' "$line"; done
    [[ ${PIPESTATUS[0]} -eq 0 ]] || problem "$1" "a file is not what it lists"
}
lists manifest-sha256.txt sum256 64 payload
lists manifest-sha512.txt sum512 128 payload
lists tagmanifest-sha256.txt sum256 64 tag
lists tagmanifest-sha512.txt sum512 128 tag
for one in "${!sum256[@]}"; do [[ ${sum512[$one]+x} ]] || problem "$one" "the manifests disagree: SHA-512 lacks it"; done
for one in "${!sum512[@]}"; do [[ ${sum256[$one]+x} ]] || problem "$one" "the manifests disagree: SHA-256 lacks it"; done
for one in "${!here[@]}"; do
    [[ $one == tagmanifest-sha256.txt || $one == tagmanifest-sha512.txt || $one == fetch.txt || ${sum256[$one]+x} ]] \
        || problem "$one" "no manifest lists it"
done

# 3. What the bag says of itself, and who signed its payload.
handed=$(cat data/handoff.json)
told() { [[ $handed =~ \"$1\":\ \"?([^\",]*)\"?(,|$'\n') ]] && printf '%s' "${BASH_REMATCH[1]}"; }
number=$(told number) principal=$(told principal) as_of=$(told as_of) as_of_head=$(told as_of_head)
[[ $number =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || { problem data/handoff.json "it names no case"; exit 4; }
if [[ -n $principal ]]; then
    ssh-keygen -Y verify -f "${SIGNERS:-data/allowed_signers}" -I "$principal" -n custody-bag@forensics \
        -s manifest-sha256.txt.sig < manifest-sha256.txt > /dev/null 2>&1 \
        || problem manifest-sha256.txt.sig "the signature over the payload does not hold"
elif [[ -e manifest-sha256.txt.sig ]]; then
    problem manifest-sha256.txt.sig "the bag does not say who signed it"
else
    note "the bag's own lists are not signed"
fi
if [[ $(told variant) == redacted ]]; then
    note "a redacted variant: neither ledger nor exhibits are in it"
    [[ -f data/redactions.json ]] || problem data/redactions.json "missing"
    path=""
    while IFS= read -r line; do
        [[ $line =~ ^\ *\"path\":\ \"(data/[^\"]+)\" ]] && path=${BASH_REMATCH[1]}
        [[ -n $path && $line =~ ^\ *\"after\":\ \"sha256:([0-9a-f]{64})\" && ${sum256[$path]-} != "${BASH_REMATCH[1]}" ]] \
            && problem "$path" "not what the redaction left"
    done < data/redactions.json
    [[ $bad -ne 0 ]] || echo "ok"
    exit "$bad"
fi

# 4. The ledger: each line's own digest, its link to the line before, sequence, case; what it entered, and what it attests.
inside=data/$number ledger=data/$number/custody.jsonl
declare -a stamps
declare -A heads entered path_of gone attested signer_of roots_of time_of reports sealed
previous=$(printf '0%.0s' {1..64}) count=0 withheld="" head=""
begins='^\{"schema":"forensics-custody-1","case":"([^"]+)","sequence":([0-9]+),"previous":"sha256:([0-9a-f]{64})",'
thing='"exhibit":"([EID][0-9]+)","digest":"sha256:([0-9a-f]{64})","size":[0-9]+'
while IFS= read -r line || [[ -n $line ]]; do
    own=${line:0:${#line}-84}
    digest=$(printf '%s' "$own" | sha256sum) digest=${digest%% *}
    [[ ${line: -84} == ",\"digest\":\"sha256:$digest\"}" ]] || problem "$ledger" "line $((count + 1)) is not what its digest says"
    [[ $line =~ $begins && ${BASH_REMATCH[1]} == "$(told case)" && ${BASH_REMATCH[2]} == "$count" \
        && ${BASH_REMATCH[3]} == "$previous" ]] || problem "$ledger" "line $((count + 1)) does not follow the one before"
    heads[$count]=sha256:$digest head=sha256:$digest count=$((count + 1))
    previous=$(printf '%s' "$line" | sha256sum) previous=${previous%% *}
    if [[ $line == *'"action":"exhibit entered"'* ]]; then
        [[ $line =~ \"products\":\[\{$thing\}\] ]] && name=${BASH_REMATCH[1]} entered[$name]=${BASH_REMATCH[2]}
        [[ $line =~ \"path\":\"(exhibits/[EID][0-9]+-[A-Za-z0-9._@+-]+)\" ]] && path_of[$name]=${BASH_REMATCH[1]}
        [[ $line == *'"encryption":{'* ]] && note "$name is encrypted: what is in it was not checked, that needs age and its identity"
        if [[ $line == *'"kind":"report"'* && $line =~ \"as_of\":([0-9]+) ]]; then
            at=${BASH_REMATCH[1]}
            [[ $line =~ \"head\":\"(sha256:[0-9a-f]{64})\" ]] && reports[${entered[$name]}]="$at ${BASH_REMATCH[1]}"
        fi
    elif [[ $line == *'"action":"disposed"'* ]]; then
        rest=$line
        while [[ $rest =~ $thing ]]; do gone[${BASH_REMATCH[1]}]=1 rest=${rest#*"${BASH_REMATCH[0]}"}; done
    elif [[ $line == *'"action":"handed off"'* && $line == *'"outcome":"started"'* ]]; then
        [[ $line =~ \"withheld\":\[([^]]*)\] ]] && withheld=${BASH_REMATCH[1]//\"/}
        [[ $((count - 1)) == "$(told entry)" && sha256:$digest != "$(told entry_digest)" ]] \
            && problem data/handoff.json "it tells of another hand-off"
    elif [[ $line == *'"outcome":"finished"'* && $line =~ \"action\":\"(signed|time\ stamped|sealed)\" ]]; then
        kind=${BASH_REMATCH[1]}
        [[ $line =~ \"file\":\"([0-9.]+(sig|tsr|json))\",\"digest\":\"sha256:([0-9a-f]{64})\" ]] \
            && name=${BASH_REMATCH[1]} attested[$name]=${BASH_REMATCH[3]}
        [[ $line =~ \"seal\":\"([0-9]+\.json)\" ]] && sealed[$name]=${BASH_REMATCH[1]}
        if [[ $kind == signed && $line =~ \"principal\":\"([A-Za-z0-9.@_-]+)\" ]]; then
            signer_of[$name]=${BASH_REMATCH[1]}
        elif [[ $kind == "time stamped" && $line =~ \"time\":\"([^\"]+)\",\"roots_file\":\"([0-9.]+pem)\",\"roots_digest\":\"sha256:([0-9a-f]{64})\" ]]; then
            time_of[$name]=${BASH_REMATCH[1]} roots_of[$name]=${BASH_REMATCH[2]} attested[${BASH_REMATCH[2]}]=${BASH_REMATCH[3]}
            stamps+=("$name")
        fi
    fi
done < "$ledger"
[[ $count == "$(told entries)" && $head == "$(told head)" ]] || problem "$ledger" "its length or head is not the one of this bag"
left=$(told_left=${handed#*\"withheld\": [}; printf '%s' "${told_left%%]*}")
left=${left//[^EID0-9,]/}
[[ $left == "$withheld" ]] || problem data/handoff.json "what it leaves out is not what stands in the ledger"

# 5. The exhibits: what was entered is here with its digest, or was left out or disposed of on record; nothing else is here.
declare -A known
for one in "${!entered[@]}"; do
    path=$inside/${path_of[$one]} known[$inside/${path_of[$one]}]=1
    if [[ ! -e $path && ",$withheld," == *",$one,"* ]]; then note "$one was left out on record, and was not checked"
    elif [[ ! -e $path && ${gone[$one]+x} ]]; then note "$one was disposed of"
    elif [[ ${sum256[$path]-} != "${entered[$one]}" ]]; then problem "$path" "not what was entered as $one"
    fi
done
for one in "$inside"/exhibits/*; do [[ ${known[$one]+x} ]] || problem "$one" "nobody entered this file"; done

# 6. The seals: each fits the ledger; each signature and stamp is the one on record, and holds.
for one in "$inside"/seals/*; do
    name=${one##*/}
    [[ ${attested[$name]+x} && ${sum256[$one]-} != "${attested[$name]}" ]] && problem "$one" "not the one on record"
    if [[ $name == *.json ]]; then
        text=$(cat "$one")
        [[ $text =~ \"sequence\":\ ([0-9]+),$'\n'\ \"head\":\ \"(sha256:[0-9a-f]{64})\" \
            && ${heads[${BASH_REMATCH[1]}]-} == "${BASH_REMATCH[2]}" ]] || problem "$one" "it does not fit the ledger"
    elif [[ $name != allowed_signers && ! ${attested[$name]+x} ]]; then
        problem "$one" "no entry tells of it"
    fi
done
for name in "${!attested[@]}"; do [[ -e $inside/seals/$name ]] || problem "$inside/seals/$name" "missing"; done
for name in "${!signer_of[@]}"; do
    ssh-keygen -Y verify -f "${SIGNERS:-$inside/seals/allowed_signers}" -I "${signer_of[$name]}" -n custody-seal@forensics \
        -s "$inside/seals/$name" < "$inside/seals/${sealed[$name]}" > /dev/null 2>&1 || problem "$inside/seals/$name" "it does not hold"
done
for name in "${stamps[@]}"; do
    openssl ts -verify -data "$inside/seals/${sealed[$name]}" -in "$inside/seals/$name" \
        -CAfile "${ROOTS:-$inside/seals/${roots_of[$name]}}" -attime "$(date -d "${time_of[$name]}" +%s)" > /dev/null 2>&1 \
        || problem "$inside/seals/$name" "it does not hold"
done

# 7. The report is the one that this ledger entered, as of the entry that the bag names; a signed PDF is signed as a whole.
for one in data/report/*; do
    [[ ${reports[${sum256[$one]-none}]-none} == "$as_of $as_of_head" ]] \
        || problem "$one" "this ledger does not tell of this report"
    [[ $one == *.pdf ]] || continue
    said=$(pdfsig -nocert "$one" 2>&1)
    if [[ $said == *"Signature #"* ]]; then
        [[ $said == *"Signature is Valid"* && $said == *"Total document signed"* ]] || problem "$one" "its signature does not hold"
    else
        note "${one@Q} is not signed; its digest stands in the ledger"
    fi
done
[[ -n $as_of && ${heads[$as_of]-} == "$as_of_head" ]] || problem data/handoff.json "the report's entry is not in the ledger"

[[ $bad -ne 0 ]] || echo "ok: $count entries, head $head"
exit "$bad"
