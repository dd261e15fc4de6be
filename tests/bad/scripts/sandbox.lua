-- rejects: accessing undefined variable 'io'
return io.open(ARGV[1]):read('*a')
