"""The database in trouble: what cannot be done now is to be asked again, and undoes nothing else."""

import asyncio

import pytest
from lacewing.adapters.sql import Database, open_engine
from lacewing.errors import TransientError


@pytest.fixture
def database(tmp_path):
    made = Database(open_engine(f"sqlite:///{tmp_path}/test.db"))
    yield made
    made.close()


def execute(statement):
    return lambda connection: connection.exec_driver_sql(statement)


async def test_a_database_that_is_full_is_a_passing_trouble(database):
    await database.write(execute("CREATE TABLE big (data)"))
    await database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 4").fetchall())
    with pytest.raises(TransientError, match="database or disk is full"):
        await database.write(execute("INSERT INTO big VALUES (zeroblob(1000000))"))
    await database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 100000").fetchall())
    await database.write(execute("INSERT INTO big VALUES (zeroblob(1000000))"))
    assert (await database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM big").scalar_one())) == 1


async def test_a_write_that_fails_leaves_those_beside_it_alone(database):
    await database.write(execute("CREATE TABLE one (id PRIMARY KEY)"))
    statements = [f"INSERT INTO one VALUES ({number})" for number in (1, 2, 2, 3)]
    done = await asyncio.gather(*(database.write(execute(one)) for one in statements), return_exceptions=True)
    assert [isinstance(one, Exception) for one in done] == [False, False, True, False]
    assert (await database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM one").scalar_one())) == 3
