/* The least a hook can be: reads standard input to its end and leaves. */
#include <unistd.h>

static char room[1 << 20];

int main(void)
{
	while (read(0, room, sizeof room) > 0)
		;
	_exit(0);
}
