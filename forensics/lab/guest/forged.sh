mkdir -p @folder@
cp /usr/bin/perl @path@
setsid perl -e 'exec { $ARGV[0] } $ARGV[1], "-"' @path@ '@shown@' >/dev/null 2>&1 <<'END' &
$0 = '@shown@';
my $comm = '@comm@';
syscall 157, 15, $comm, 0, 0, 0;
sleep 3600 while 1;
END
