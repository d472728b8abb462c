# SPDX-License-Identifier: Apache-2.0
"""
A station on the lab's network: a few protocols on raw Ethernet frames, enough to ask a
host and to answer it (ARP, IPv4, IPv6 with its neighbour discovery, echo, UDP, TCP's
segments, DHCP's server).

It works in the lab's loop: while a test waits for a host or for the station, both go on.
"""
import ipaddress
import socket
import struct
import time

from labkit.host import Missing

BROADCAST = b"\xff" * 6
ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
ECHO = {ICMP: (8, 0), ICMP6: (128, 129)}  # request, answer
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

ETHERNET_SIZE, IPV4_SIZE, IPV6_SIZE, ECHO_SIZE = 14, 20, 40, 8
WINDOW = 16  # echo requests on their way: no more than an emulator's socket takes
PATIENCE_SECONDS = 0.5  # then what has not been answered is asked again
DEFAULT_SECONDS = 120


def address(text):
    return ipaddress.ip_address(text).packed


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    """RFC 1071."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def transport_checksum(source, target, protocol, data):
    if len(source) == 4:
        pseudo = struct.pack(">4s4sBBH", source, target, 0, protocol, len(data))
    else:
        pseudo = struct.pack(">16s16sIxxxB", source, target, len(data), protocol)
    return checksum(pseudo + data)


def with_checksum(source, target, protocol, data, offset):
    """`data` with its checksum at `offset`, where zeros are. ICMP's covers no addresses."""
    value = (checksum(data) if protocol == ICMP
             else transport_checksum(source, target, protocol, data))
    return data[:offset] + struct.pack(">H", value) + data[offset + 2:]


class Segment:
    """TCP's header, and what follows it."""

    def __init__(self, data):
        self.source, self.target, self.sequence, self.acknowledged, words, self.flags = \
            struct.unpack_from(">HHIIBB", data)
        self.data = data[words >> 4 << 2:]


class Station:
    def __init__(self, lab, number=9, hub=None):
        self.loop = lab.hosts[0].loop
        self.wire = (hub or lab.hub).attach()
        self.wire.setblocking(False)
        self.mac = bytes((2, 0, 0, 0, 0, number))
        self.addresses = [address(f"10.0.0.{number}"), address(f"fd00::{number}"),
                          address(f"fe80::{number}")]
        self.neighbours = {}  # by address
        self.frames = []  # ("sent" or "received", frame)
        self.echoes = {}  # by identifier and number: what was answered
        self.on_udp = {}  # by port: function(source, source_port, data)
        self.on_tcp = None  # function(source, Segment)
        self.loop.watch(self.wire, self._readable)

    def wait(self, condition, timeout=DEFAULT_SECONDS):
        """Let the lab go on until the condition holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            if not self.loop.step(deadline):
                raise Missing(f"the station waited {timeout} s in vain")

    # Out

    def send(self, target_mac, ethertype, data):
        frame = (target_mac + self.mac + struct.pack(">H", ethertype) + data).ljust(60, b"\0")
        self.frames.append(("sent", frame))
        self.wire.send(frame)

    def send_ip(self, target, protocol, data, source=None, target_mac=None):
        source = source or next(own for own in self.addresses if len(own) == len(target)
                                and (own[:2] == b"\xfe\x80") == (target[:2] == b"\xfe\x80"))
        target_mac = target_mac or self.neighbours[target]
        if len(target) == 4:
            header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, IPV4_SIZE + len(data), 0, 0x4000, 64,
                                 protocol, 0, source, target)
            header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
            self.send(target_mac, IPV4, header + data)
        else:
            header = struct.pack(">IHBB16s16s", 6 << 28, len(data), protocol, 255, source, target)
            self.send(target_mac, IPV6, header + data)

    def send_icmp(self, target, kind, rest):
        """`rest` follows type, code and checksum."""
        protocol = ICMP if len(target) == 4 else ICMP6
        source = next(own for own in self.addresses if len(own) == len(target)
                      and (own[:2] == b"\xfe\x80") == (target[:2] == b"\xfe\x80"))
        data = with_checksum(source, target, protocol, bytes((kind, 0, 0, 0)) + rest, 2)
        self.send_ip(target, protocol, data, source)

    def send_udp(self, source, target, target_mac, source_port, target_port, data):
        data = struct.pack(">HHHH", source_port, target_port, 8 + len(data), 0) + data
        self.send_ip(target, UDP, with_checksum(source, target, UDP, data, 6), source, target_mac)

    def send_tcp(self, target, ports, sequence, acknowledged, flags, data=b""):
        source = self.addresses[0]
        segment = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledged, 5 << 4, flags, 8192,
                              0, 0) + data
        self.send_ip(target, TCP, with_checksum(source, target, TCP, segment, 16))

    # In

    def _readable(self):
        while True:
            try:
                frame = self.wire.recv(10000)
            except OSError:
                return
            if frame[:6] in (self.mac, BROADCAST) or frame[:2] == b"\x33\x33":
                self.frames.append(("received", frame))
                self._frame(frame)

    def _frame(self, frame):
        sender = frame[6:12]
        ethertype = struct.unpack_from(">H", frame, 12)[0]
        data = frame[ETHERNET_SIZE:]
        if ethertype == ARP:
            self._arp(sender, data)
        elif ethertype == IPV4:
            size, protocol = struct.unpack_from(">xxH5xB", data)
            self._packet(sender, data[12:16], data[16:20], protocol, data[IPV4_SIZE:size])
        elif ethertype == IPV6:
            size, protocol = struct.unpack_from(">4xHB", data)
            self._packet(sender, data[8:24], data[24:40], protocol,
                         data[IPV6_SIZE:IPV6_SIZE + size])

    def _arp(self, sender, data):
        operation, source, target = struct.unpack_from(">6xH6x4s6x4s", data)
        self.neighbours[source] = sender
        if operation == 1 and target in self.addresses:
            self.send(sender, ARP, struct.pack(">HHBBH6s4s6s4s", 1, IPV4, 6, 4, 2, self.mac,
                                               target, sender, source))

    def _packet(self, sender, source, target, protocol, data):
        if protocol in ECHO and target in self.addresses:
            # What it sends is right: else nothing that follows has a meaning.
            assert (checksum(data) if protocol == ICMP
                    else transport_checksum(source, target, protocol, data)) == 0
        if protocol in ECHO and data[0] == ECHO[protocol][0] and target in self.addresses:
            self.neighbours[source] = sender
            self.send_icmp(source, ECHO[protocol][1], data[4:])
        elif protocol in ECHO and data[0] == ECHO[protocol][1]:
            self.echoes[data[4:8]] = data[ECHO_SIZE:]
        elif protocol == ICMP6 and data[0] == 135 and data[8:24] in self.addresses:
            self._solicited(sender, source, data[8:24])
        elif protocol == ICMP6 and data[0] == 136:
            self.neighbours[data[8:24]] = sender
        elif protocol == UDP:
            ports = struct.unpack_from(">HH", data)
            if ports[1] in self.on_udp:
                self.on_udp[ports[1]](sender, source, ports[0], data[8:])
        elif protocol == TCP and self.on_tcp:
            self.on_tcp(source, Segment(data))

    def _solicited(self, sender, source, target):
        """Who asks without an address of its own has it from elsewhere: no answer is due."""
        if any(source):
            self.neighbours[source] = sender
            advertisement = bytes((0x60, 0, 0, 0)) + target + b"\x02\x01" + self.mac
            data = with_checksum(target, source, ICMP6, bytes((136, 0, 0, 0)) + advertisement, 2)
            self.send_ip(source, ICMP6, data, target)

    # Asking

    def find(self, text):
        """Learn the card's address of a host; the host's address."""
        target = address(text)

        def ask():
            if len(target) == 4:
                self.send(BROADCAST, ARP, struct.pack(">HHBBH6s4s6s4s", 1, IPV4, 6, 4, 1, self.mac,
                                                      self.addresses[0], bytes(6), target))
                return
            group = address("ff02::1:ff00:0")[:13] + target[13:]
            self.neighbours[group] = b"\x33\x33" + group[12:]
            source = self.addresses[2 if target[:2] == b"\xfe\x80" else 1]
            data = bytes((135, 0, 0, 0, 0, 0, 0, 0)) + target + b"\x01\x01" + self.mac
            self.send_ip(group, ICMP6, with_checksum(source, group, ICMP6, data, 2), source)

        self.ask_until(ask, lambda: target in self.neighbours)
        return target

    def ask_until(self, ask, condition, asked=False):
        """What is lost is asked again."""
        deadline = time.monotonic() + DEFAULT_SECONDS
        while not condition():
            if not asked:
                ask()
            asked = False
            patience = time.monotonic() + PATIENCE_SECONDS
            while not condition() and self.loop.step(patience):
                pass
            if time.monotonic() > deadline:
                raise Missing(f"the station asked for {DEFAULT_SECONDS} s in vain")

    def echo(self, text, size, count=1, then=None):
        """
        `count` requests with `size` bytes of data each, and an answer to each, with the
        same bytes. `then`: number of answers -> function to call when there are as many.
        """
        target = self.find(text)
        kind = ECHO[ICMP if len(target) == 4 else ICMP6][0]
        pattern = bytes((7 * i) % 251 for i in range(size + 251))
        identifier = 0x1000 + size
        then = dict(then or {})
        self.echoes.clear()
        next_number, waiting = 0, {}

        def key(number):
            return struct.pack(">HH", identifier, number)

        def request(number):
            waiting[number] = pattern[number % 251:][:size]
            self.send_icmp(target, kind, key(number) + waiting[number])

        def answered():
            return [number for number in waiting if key(number) in self.echoes]

        def request_again():
            for number in waiting:
                request(number)

        while next_number < count or waiting:
            while next_number < count and len(waiting) < WINDOW:
                request(next_number)
                next_number += 1
            self.ask_until(request_again, answered, asked=True)
            for number in answered():
                assert self.echoes[key(number)] == waiting.pop(number)
            for have in [have for have in then if len(self.echoes) >= have]:
                then.pop(have)()
