# SPDX-License-Identifier: Apache-2.0
"""An address by DHCP (RFC 2131): given, renewed, refused; the server is a station on the hub."""
import re
import struct

import pytest

from station import BROADCAST, Station, address

CONF = "[host]\nname = alpha\n[interface net0]\naddress = dhcp\n"
SERVER_PORT, CLIENT_PORT = 67, 68
MAGIC = b"\x63\x82\x53\x63"
MASK, ROUTER, REQUESTED, LEASE, TYPE, SERVER = 1, 3, 50, 51, 53, 54
DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
LEASE_SECONDS = 240


class Server:
    """Gives `offer` to whoever asks, and refuses what is not `offer`."""

    def __init__(self, station, offer):
        self.station = station
        self.offer = address(offer)
        self.asked = []  # (type, address that is asked for or was had)
        station.on_udp[SERVER_PORT] = self._asked

    def _asked(self, sender, source, source_port, data):
        options = read_options(data[240:])
        kind = options[TYPE][0]
        wanted = options.get(REQUESTED) or data[12:16]
        self.asked.append((kind, wanted))
        if kind == DISCOVER:
            self._answer(sender, data, OFFER)
        elif kind == REQUEST:
            self._answer(sender, data, ACK if wanted == self.offer else NAK)

    def _answer(self, sender, request, kind):
        own = self.station.addresses[0]
        given = bytes(4) if kind == NAK else self.offer
        options = bytes((TYPE, 1, kind, SERVER, 4)) + own
        if kind != NAK:
            options += (bytes((MASK, 4, 255, 255, 255, 0, ROUTER, 4)) + own
                        + struct.pack(">BBI", LEASE, 4, LEASE_SECONDS))
        answer = (b"\x02" + request[1:8] + bytes(8) + given + own + bytes(4) + request[28:44]
                  + bytes(192) + MAGIC + options + b"\xff")
        self.station.send_udp(own, address("255.255.255.255"), BROADCAST, SERVER_PORT, CLIENT_PORT,
                              answer)

    def waits_for(self, kind):
        """Until it is asked for that once more."""
        count = len(self.asked)
        self.station.wait(lambda: kind in [asked[0] for asked in self.asked[count:]])


def read_options(data):
    options = {}
    while data and data[0] != 255:
        if data[0] == 0:
            data = data[1:]
            continue
        options[data[0]] = data[2:2 + data[1]]
        data = data[2 + data[1]:]
    return options


@pytest.fixture(scope="module")
def dyad(boot_lab):
    """In Bochs, whose clock skips the time in which nothing happens: leases end soon."""
    lab = boot_lab([CONF], emulator="bochs", nics=("",))
    dyad = lab.dyads[0]
    dyad.station = Station(lab)
    dyad.server = Server(dyad.station, "10.0.0.50")
    return dyad.boot()


def has(dyad, text):
    return re.search(f"^ +{re.escape(text)}/24 by DHCP, gateway 10.0.0.9$", dyad.command("net"),
                     re.MULTILINE)


def test_an_address_is_given(dyad):
    dyad.expect("net0: address 10.0.0.50 by DHCP")
    assert [kind for kind, _ in dyad.server.asked[:2]] == [DISCOVER, REQUEST]
    assert has(dyad, "10.0.0.50")
    dyad.station.echo("10.0.0.50", 100)


def test_it_is_renewed(dyad):
    for _ in range(2):
        dyad.server.waits_for(REQUEST)
        assert dyad.server.asked[-1] == (REQUEST, address("10.0.0.50"))
    assert has(dyad, "10.0.0.50")
    assert "no longer ours" not in dyad.command("log")


def test_who_is_refused_asks_for_another(dyad):
    dyad.server.offer = address("10.0.0.60")
    dyad.expect("warning: net0: address 10.0.0.50 is no longer ours: DHCP's lease has ended, or "
                "was refused")
    dyad.expect("net0: address 10.0.0.60 by DHCP")
    assert has(dyad, "10.0.0.60") and not has(dyad, "10.0.0.50")
    dyad.station.echo("10.0.0.60", 100)


def test_an_address_without_a_server_is_given_back_in_time(dyad):
    del dyad.station.on_udp[SERVER_PORT]
    dyad.expect("warning: net0: address 10.0.0.60 is no longer ours")
    assert "no address yet by DHCP" in dyad.command("net")
