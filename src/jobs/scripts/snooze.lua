-- KEYS 1=stream 2=sorted set; ARGV 1=entry id 2=pause in ms 3=packed ticket
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), ARGV[3])
redis.call('XACK', KEYS[1], 'w', ARGV[1])
return redis.call('XDEL', KEYS[1], ARGV[1])
