"""A small iSCSI initiator on a plain socket: enough to log in, read and write, and to send what no initiator would.

It keeps one command in flight, so a failure names the command. RFC 7143 gives the layouts.
"""
import itertools
import socket
import struct

BHS = 48
NOP_OUT, SCSI_COMMAND, TASK_MANAGEMENT, LOGIN, TEXT, DATA_OUT, LOGOUT, SNACK = 0, 1, 2, 3, 4, 5, 6, 0x10
NOP_IN, SCSI_RESPONSE, LOGIN_RESPONSE, DATA_IN, LOGOUT_RESPONSE, R2T, ASYNC, REJECT = (
    0x20, 0x21, 0x23, 0x25, 0x26, 0x31, 0x32, 0x3F)
IMMEDIATE = 0x40
NO_TAG = 0xFFFFFFFF
_isids = itertools.count(1)


class ProtocolError(Exception):
    """The target said something this initiator did not expect; the message tells what."""


def pad(data):
    return data + bytes(-len(data) % 4)


def pdu(bhs, data=b""):
    """BHS with the DataSegmentLength filled in, and the padded data (RFC 7143 section 11.2.1)."""
    return bhs[:5] + len(data).to_bytes(3, "big") + bhs[8:] + pad(data)


class Initiator:
    """One session of one connection. Raises ProtocolError or OSError; never retries."""

    def __init__(self, port, target, name="iqn.2026-01.io.lunaris.tests:python", timeout=10.0):
        self.target, self.name = target, name
        self.isid = bytes([0x80, 0, 0]) + next(_isids).to_bytes(3, "big")
        self.tag = 0
        self.command_sn = 1
        self.expected_status_sn = 0
        self.parameters = {}
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.socket.close()

    def receive(self):
        header = self.exactly(BHS)
        length = int.from_bytes(header[5:8], "big")
        self.exactly(header[4] * 4)
        data = self.exactly(length + -length % 4)[:length]
        if header[0] & 0x3F == REJECT:
            raise ProtocolError(f"reject, reason 0x{header[2]:02x}")
        return header, data

    def exactly(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ProtocolError(f"the target closed the connection after {len(data)} of {count} bytes")
            data += part
        return bytes(data)

    def login_pdu(self, stage, next_stage, keys, transit=True):
        """A Login Request (RFC 7143 section 11.12)."""
        flags = (0x80 if transit else 0) | stage << 2 | (next_stage if transit else 0)
        text = b"".join(f"{key}={value}\0".encode() for key, value in keys.items())
        bhs = struct.pack(">BBBBI6sHIHHII", LOGIN | IMMEDIATE, flags, 0, 0, 0, self.isid, 0, self.tag, 0, 0,
                          self.command_sn, self.expected_status_sn) + bytes(16)
        return pdu(bhs, text)

    def login(self, **offers):
        """One login request straight to full feature; `offers` are further operational keys."""
        keys = {"InitiatorName": self.name, "TargetName": self.target, "SessionType": "Normal", "AuthMethod": "None"}
        self.socket.sendall(self.login_pdu(0, 1, keys))
        self.login_response()
        self.socket.sendall(self.login_pdu(1, 3, {"HeaderDigest": "None", "DataDigest": "None", "InitialR2T": "Yes",
                                                  "ImmediateData": "No", "MaxRecvDataSegmentLength": "262144",
                                                  **offers}))
        header, text = self.login_response()
        if header[1] & 0x83 != 0x83:
            raise ProtocolError("login did not reach full feature")
        for pair in text.split(b"\0"):
            key, found, value = pair.decode().partition("=")
            if found:
                self.parameters[key] = value
        return self

    def login_response(self):
        header, data = self.receive()
        if header[0] != LOGIN_RESPONSE or header[36] != 0:
            raise ProtocolError(f"login refused: opcode 0x{header[0]:02x}, status 0x{header[36]:02x}{header[37]:02x}")
        self.expected_status_sn = int.from_bytes(header[24:28], "big") + 1
        return header, data

    def command_pdu(self, lun, cdb, length=0, write=False):
        """A SCSI Command (RFC 7143 section 11.3): final, simple task attribute, no data of its own."""
        flags = 0x81 | (0x20 if write else 0x40 if length else 0)
        self.tag = (self.tag + 1) % NO_TAG
        bhs = struct.pack(">BBHI", SCSI_COMMAND, flags, 0, 0) + lun_bytes(lun) + struct.pack(
            ">IIII", self.tag, length, self.command_sn, self.expected_status_sn) + cdb.ljust(16, b"\0")
        self.command_sn = (self.command_sn + 1) & 0xFFFFFFFF
        return pdu(bhs)

    def command(self, lun, cdb, read=0, write=b""):
        """Runs one command; returns (status, data, sense)."""
        self.socket.sendall(self.command_pdu(lun, cdb, len(write) or read, bool(write)))
        data = bytearray(read)
        while True:
            header, payload = self.receive()
            opcode = header[0] & 0x3F
            if opcode == NOP_IN:
                self.answer_nop(header, payload)
            elif opcode == R2T:
                self.send_data(lun, header, write)
            elif opcode == DATA_IN:
                offset = int.from_bytes(header[40:44], "big")
                if offset + len(payload) > len(data):
                    raise ProtocolError(f"Data-In beyond what was asked for: {offset} + {len(payload)} > {len(data)}")
                data[offset:offset + len(payload)] = payload
                if header[1] & 1:
                    self.status_seen(header)
                    return header[3], bytes(data), b""
            elif opcode == SCSI_RESPONSE:
                self.status_seen(header)
                if header[2] != 0:
                    raise ProtocolError(f"response code 0x{header[2]:02x}")
                return header[3], bytes(data), payload[2:]
            else:
                raise ProtocolError(f"unexpected PDU 0x{opcode:02x} while a command waits")

    def status_seen(self, header):
        tag = int.from_bytes(header[16:20], "big")
        if tag != self.tag:
            raise ProtocolError(f"status for task {tag:#x} while {self.tag:#x} waits")
        self.expected_status_sn = int.from_bytes(header[24:28], "big") + 1

    def send_data(self, lun, r2t, data):
        """The Data-Out PDUs that one R2T asks for (RFC 7143 sections 11.7 and 11.8)."""
        transfer_tag = r2t[20:24]
        offset, length = struct.unpack(">II", r2t[40:48])
        if offset + length > len(data):
            raise ProtocolError(f"R2T for {offset} + {length} of {len(data)} bytes")
        limit = int(self.parameters.get("MaxRecvDataSegmentLength", 8192))
        end = offset + length
        for number in itertools.count():
            part = data[offset:min(end, offset + limit)]
            final = offset + len(part) == end
            bhs = struct.pack(">BBHI", DATA_OUT, 0x80 if final else 0, 0, 0) + lun_bytes(lun) + struct.pack(
                ">I4sIIIIII", self.tag, transfer_tag, 0, self.expected_status_sn, 0, number, offset, 0)
            self.socket.sendall(pdu(bhs, part))
            offset += len(part)
            if final:
                return

    def answer_nop(self, header, payload):
        if header[20:24] == b"\xff\xff\xff\xff":
            return
        bhs = struct.pack(">BBHI", NOP_OUT | IMMEDIATE, 0x80, 0, 0) + header[8:16] + struct.pack(
            ">I4sII", NO_TAG, header[20:24], self.command_sn, self.expected_status_sn) + bytes(16)
        self.socket.sendall(pdu(bhs, payload))

    def ready(self, lun):
        """TEST UNIT READY until the unit attentions that follow a login are gone."""
        for _ in range(8):
            status, _, sense = self.command(lun, bytes(6))
            if status == 0:
                return self
        raise ProtocolError(f"not ready: status {status}, sense {sense.hex()}")

    def write(self, lun, lba, data):
        return self.command(lun, struct.pack(">BBQIBB", 0x8A, 0, lba, len(data) // 512, 0, 0), write=data)

    def read(self, lun, lba, blocks):
        return self.command(lun, struct.pack(">BBQIBB", 0x88, 0, lba, blocks, 0, 0), read=blocks * 512)

    def logout(self):
        """Closes the session (RFC 7143 section 11.14) and the socket."""
        self.tag = (self.tag + 1) % NO_TAG
        bhs = struct.pack(">BBHIQIIII", LOGOUT | IMMEDIATE, 0x80, 0, 0, 0, self.tag, 0, self.command_sn,
                          self.expected_status_sn) + bytes(16)
        self.socket.sendall(pdu(bhs))
        while True:
            header, _ = self.receive()
            if header[0] == LOGOUT_RESPONSE:
                break
        self.close()


def lun_bytes(lun):
    """A LUN below 256 in the single-level form (SAM-5 section 4.7)."""
    return struct.pack(">H6x", lun)
