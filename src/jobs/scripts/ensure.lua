-- KEYS 1=stream 2=generation; ARGV 1=new generation
-- Answers 1 when something had to be made.
local made = 0
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], ARGV[1])
  made = 1
end
local group = redis.pcall('XGROUP', 'CREATE', KEYS[1], 'w', '0', 'MKSTREAM')
if not group.err then made = 1 end
return made
