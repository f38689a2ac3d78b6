/* L4 storage: the Lua scripts that Redis runs for us */
/* SPDX-License-Identifier: MIT */
#include "scripts.h"

/* A request of a closed connection may run long after its caller gave up, once a stopped server
 * goes on. The deadline keeps such a late duplicate from storing a session nobody knows of. */
const struct cloak__script cloak__script_put_absent = {
	.text = "local e=string.sub(ARGV[1],7,14)\n"
		"local v=redis.call('GET',KEYS[1])\n"
		"if v then\n"
		"if string.sub(v,1,30)==string.sub(ARGV[1],1,30) then redis.call('PEXPIRE',KEYS[1],ARGV[2]) end\n"
		"return e..'='..v end\n"
		"local t=redis.call('TIME')\n"
		"if t[1]*1000+math.floor(t[2]/1000)>tonumber(ARGV[3]) then return e..'!' end\n"
		"redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2])\n"
		"return e\n",
	.sha1 = "910b34959276dc4ad03c83f61109a32a17567117",
};

/* A repetition writes too, if only the time to live: the WAIT behind it is about the writes of its own
 * connection, and would else confirm what it knows nothing of. */

/* The usual case goes first, and numbers are texts: Redis would turn each into one, at a price.
 *
 * The loaded tag still stored: nobody saved since. Our own tag stored: this is a repetition of a save
 * that was applied. Only a live record is ever replaced; nothing missing is created. */
const struct cloak__script cloak__script_put_tag = {
	.text = "local h=redis.call('GETRANGE',KEYS[1],'0','29')\n"
		"local e=string.sub(ARGV[1],7,14)\n"
		"if h==ARGV[3] and string.byte(h)==1 then redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) return e end\n"
		"if h=='' then return e..'-' end\n"
		"if h==string.sub(ARGV[1],1,30) then redis.call('PEXPIRE',KEYS[1],ARGV[2]) return e end\n"
		"return e..'='..redis.call('GET',KEYS[1])\n",
	.sha1 = "0bab1945dae24864325e6732b684d292d9474f5c",
};

/* A live record without a time to live would stay for ever: it is given one whatever its tag. */
const struct cloak__script cloak__script_touch = {
	.text = "local h=redis.call('GETRANGE',KEYS[1],'0','29')\n"
		"if h=='' then return -1 end\n"
		"if h==ARGV[2] then redis.call('PEXPIRE',KEYS[1],ARGV[1]) return 1 end\n"
		"if string.byte(h)==1 and redis.call('PTTL',KEYS[1])==-1 then redis.call('PEXPIRE',KEYS[1],ARGV[1]) end\n"
		"return 0\n",
	.sha1 = "92773a17b2f3cdea4b8ddcbb5f16641bcf4298e5",
};

/* UNLINK goes first: having freed memory, the script may write under maxmemory. The successor's name
 * is kept, so a destroy that is repeated or comes late still finds the way on. A superseded marker that
 * names none stays what it is, being as final as a tombstone: a destroy that is repeated must hear
 * again that something lives on. */
const struct cloak__script cloak__script_end = {
	.text = "local k=KEYS[1]\n"
		"local v=redis.call('GETRANGE',k,'0','53')\n"
		"local t=redis.call('PTTL',k)\n"
		"local f=string.byte(v) or 0\n"
		"local s=''\n"
		"if f==2 or f==3 then s=string.sub(v,31,54) end\n"
		"if f==4 then s=string.sub(v,2,25) end\n"
		"if #s~=24 or s==string.rep('\\0',24) then s='' end\n"
		"if t<600000 then t=600000 end\n"
		"if f==3 and #v==54 and s=='' then redis.call('PEXPIRE',k,t)\n"
		"else redis.call('UNLINK',k) redis.call('SET',k,'\\4'..s,'PX',t) end\n"
		"return string.sub(k,-8)..string.char(f)..s\n",
	.sha1 = "c5691f6f6c629ab0211a873865b81d3854f67035",
};
