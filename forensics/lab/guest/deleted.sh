cp /usr/bin/perl @path@
@variable@=@marker@ setsid @path@ - @arguments@ >/dev/null 2>&1 <<'END' &
unlink readlink "/proc/self/exe";
sleep 3600 while 1;
END
