"""What a hostile task tries when it comes through the pool: the code of Code nodes, in tables by what it is after.

Beside these, `attacks` has the system calls; `test_pool` runs those through the pool. An attack returns its loot, or
does its damage, which is looked for outside.
"""

from __future__ import annotations

from tests.security.pool_attacks.attack import Attack
from tests.security.pool_attacks.escapes import ESCAPES
from tests.security.pool_attacks.files import FILES
from tests.security.pool_attacks.language import LANGUAGE
from tests.security.pool_attacks.library import LIBRARY
from tests.security.pool_attacks.memory import MEMORY
from tests.security.pool_attacks.neighbours import NEIGHBOURS
from tests.security.pool_attacks.network import NETWORK, WITH_THE_NETWORK
from tests.security.pool_attacks.processes import PROCESSES
from tests.security.pool_attacks.results import RESULTS

ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for table in (LANGUAGE, ESCAPES, LIBRARY, FILES, PROCESSES, NETWORK, MEMORY, NEIGHBOURS, RESULTS)
    for attack in table
}
"""Those that are tried under every configuration."""

NETWORK_ATTACKS: dict[str, Attack] = {attack.name: attack for attack in WITH_THE_NETWORK}
"""Those that make sense only where the network is allowed."""

__all__ = ["ATTACKS", "NETWORK_ATTACKS", "Attack"]
