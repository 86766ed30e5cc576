setsid bash -s >/dev/null 2>&1 <<'END' &
{
histchars='!^#'  # as in a shell with a person before it: each entry gets its time
@history@
exec 3<> <(:)
while :; do read -r -u 3; done
}
END
