"""An application whose outside system is down is ready, and says what it waits for."""

from fastapi import FastAPI

from eventuary import Circuit, OutsideSystem, Retries
from eventuary.integrations.fastapi import health, lifespan
from eventuary.testing import eventually, memory_store
from tests.framework.post_office import Clerk, PostOffice, write
from tests.integrations.serving import served

POST = OutsideSystem(
    "post",
    retries=Retries(1),
    circuit=Circuit(failures=1, first_pause=0.05, longest_pause=0.05),
)


async def test_it_is_ready_and_says_what_it_waits_for() -> None:
    store = memory_store()
    async with PostOffice() as office:
        await office.close()
        app = FastAPI(lifespan=lifespan(store, Clerk(office, POST).subscriber))
        app.include_router(health())
        async with served(app) as client:
            assert (await client.get("/health/ready")).json() == {"status": "ready"}
            await write(store, "hello")
            expected = {"status": "ready", "waitsFor": {"clerk": "post"}}

            async def waits() -> None:
                answer = await client.get("/health/ready")
                assert (answer.status_code, answer.json()) == (200, expected)

            await eventually(waits)
            await office.open()

            async def goes_on() -> None:
                assert (await client.get("/health/ready")).json() == {"status": "ready"}

            await eventually(goes_on)
            await eventually(lambda: len(office.taken) == 1)
