#!/usr/bin/perl
# Writes the same file again and again, past the page cache, in blocks of a known pattern.
use strict;
use warnings;
use Fcntl;
use constant { DIRECT => 0x4000, PAGE => 4096 };

my ($file, $pattern, $size, $blocks) = ('@file@', '@pattern@', @bytes@, @blocks@);
my $block = $pattern x (($size + PAGE) / length $pattern + 1);
my $start = -unpack('Q', pack 'P', $block) % PAGE;    # direct writes must begin on a page of memory
substr $block, $start, $size, substr $pattern x ($size / length $pattern), 0, $size;

sysopen my $out, $file, O_WRONLY | O_CREAT | DIRECT or die "$file: $!";
while (1) {
    sysseek $out, 0, 0 or die;
    for (1 .. $blocks) {
        syswrite $out, $block, $size, $start or die "$file: $!";
    }
    sleep @pause@;
}
