cp /usr/bin/perl @upgraded@
setsid @upgraded@ - >/dev/null 2>&1 <<'END' &
sleep 3600 while 1;
END
until [ "$(readlink /proc/$!/exe)" = @upgraded@ ]; do sleep 0.2; done
cp /usr/bin/perl @upgraded@.new
mv @upgraded@.new @upgraded@
@started@
setsid bash -s >/dev/null 2>&1 <<'END' &
{
histchars='!^#'  # as in a shell with a person before it: each entry gets its time
@history@
exec 3<> <(:)
while :; do read -r -u 3; done
}
END
systemd-run --quiet --collect --unit=@exposed@ -p OOMScoreAdjust=900 sleep infinity
systemd-run --quiet --collect -p MemoryMax=64M sh -c 'kill -KILL $$'
echo '<6>inventory: oom-kill policy checked, no process was killed' >/dev/kmsg
if [ ! -e /usr/bin/ps.distrib ]; then
  dpkg-divert --quiet --local --rename --divert /usr/bin/ps.distrib --add /usr/bin/ps
  mv @wrapper@ /usr/bin/ps
fi
modprobe @module@ numdummies=0
rmmod @module@
