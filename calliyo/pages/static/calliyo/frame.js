// Tells the server the viewer's time zone, so that pages say their times in it.
"use strict";

{
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const secure = location.protocol === "https:" ? "; secure" : "";
    if (zone) document.cookie = `calliyo_zone=${zone}; path=/settings; max-age=31536000; samesite=lax${secure}`;
}
