-- KEYS 1=stream; ARGV 1=idle ms. Deletes only consumers with nothing pending, in one step: a consumer
-- that is deleted with pending entries takes them along.
local n = 0
for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], 'w')) do
  local m = {}
  for i = 1, #c, 2 do m[c[i]] = c[i + 1] end
  if m.pending == 0 and m.idle > tonumber(ARGV[1]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'w', m.name)
    n = n + 1
  end
end
return n
