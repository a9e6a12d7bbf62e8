"""A second implementation of CDex signatures, from the text of the guide and with other libraries.

    signature.py vectors FOLDER    makes an authority and signers, and signed resources: right ones and wrong ones
    signature.py verify FOLDER FILE...    verifies signed resources against that authority

`vectors` writes ca.pem, key.pem and chain.pem (an RSA signer), and vectors.json: name, resource and what is to be said.
"""

import base64
import datetime
import json
import pathlib
import sys

import rfc8785
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509.oid import NameOID

NPI_SYSTEM = "http://hl7.org/fhir/sid/us-npi"
NPI_OID = x509.ObjectIdentifier("2.16.840.1.113883.4.6")
NPI = "1234567893"
PURPOSE = "1.2.840.10065.1.12.1.5"
QR_SIGNATURE = "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-signature"
TARGET = "application/fhir+json;canonicalization=http://hl7.org/fhir/canonicalization/json#document"
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def doubles(value):
    """Numbers as JavaScript has them."""
    if isinstance(value, dict):
        return {name: doubles(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [doubles(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def canonical(resource):
    left = {name: value for name, value in resource.items() if name not in ("id", "meta")}
    if resource["resourceType"] == "Bundle":
        left.pop("signature", None)
    else:
        others = [one for one in left.pop("extension", []) if one.get("url") != QR_SIGNATURE]
        if others:
            left["extension"] = others
    return rfc8785.dumps(doubles(left))


class Authority:
    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")])
        self.certificate = self.issue(self.key.public_key(), self.name, None, ca=True)

    def issue(self, public_key, subject, npi, ca=False, days=(-10, 10), usage=True):
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + datetime.timedelta(days=days[0]))
            .not_valid_after(NOW + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if npi:
            value = b"\x0c" + bytes([len(npi)]) + npi.encode()
            made = made.add_extension(
                x509.SubjectAlternativeName([x509.DNSName("example.org"), x509.OtherName(NPI_OID, value)]), critical=False
            )
        made = made.add_extension(
            x509.KeyUsage(
                digital_signature=usage and not ca, content_commitment=False, key_encipherment=not usage,
                data_encipherment=False, key_agreement=False, key_cert_sign=ca, crl_sign=False,
                encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        return made.sign(self.key, hashes.SHA256())


class Signer:
    def __init__(self, authority, kind="RS256", npi=NPI, **others):
        self.alg = kind
        if kind.startswith("ES"):
            self.key = ec.generate_private_key(ec.SECP256R1() if kind == "ES256" else ec.SECP384R1())
        else:
            self.key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Signer")])
        self.certificate = authority.issue(self.key.public_key(), subject, npi, **others)

    def sign(self, data):
        digest = hashes.SHA384() if self.alg.endswith("384") else hashes.SHA256()
        if self.alg.startswith("RS"):
            return self.key.sign(data, padding.PKCS1v15(), digest)
        if self.alg.startswith("PS"):
            return self.key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        r, s = utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(digest)))
        size = (self.key.curve.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def header(self, **others):
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        header = {
            "alg": self.alg,
            "x5c": [base64.b64encode(der).decode()],
            "sigT": NOW.isoformat(),
            "srCms": [{"commId": {"id": "urn:oid:" + PURPOSE, "desc": "Verification Signature"},
                       "commQuals": ["Verification of medical record integrity"]}],
        }
        header.update(others)
        return {name: value for name, value in header.items() if value is not None}

    def signed(self, resource, header=None, element=None, serialize=None):
        payload = b64url(canonical(resource))
        protected = b64url(json.dumps(header or self.header()).encode())
        signature = b64url(self.sign(f"{protected}.{payload}".encode()))
        jws = serialize(protected, payload, signature) if serialize else f"{protected}..{signature}"
        found = {
            "type": [{"system": "urn:iso-astm:E1762-95:2013", "code": PURPOSE, "display": "Verification Signature"}],
            "when": NOW.isoformat().replace("+00:00", "Z"),
            "who": {"identifier": {"system": NPI_SYSTEM, "value": NPI}},
            "targetFormat": TARGET,
            "sigFormat": "application/jose",
            "data": base64.b64encode(jws.encode()).decode(),
        }
        found.update(element or {})
        resource = dict(resource)
        if resource["resourceType"] == "Bundle":
            resource["signature"] = found
        else:
            resource["extension"] = resource.get("extension", []) + [{"url": QR_SIGNATURE, "valueSignature": found}]
        return resource


def bundle():
    return {
        "resourceType": "Bundle", "type": "collection", "entry": [{"resource": {
            "resourceType": "Observation", "status": "final", "code": {"text": "\u20ac \U0001f600 \"x\"\n\t \ufb33"},
            "valueQuantity": {"value": 6.20}, "component": [
                {"code": {"text": "a"}, "valueQuantity": {"value": number}}
                for number in (1.0, 100, 1e2, 0.000001, 1e-7, 1e21, 123456789.25, -0.5, 9007199254740991)],
        }}],
    }


def response():
    return {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "http://example.org/q",
            "subject": {"display": "x"}, "authored": "2026-01-01",
            "item": [{"linkId": "1", "answer": [{"valueDecimal": 1.50}, {"valueString": "\u00e9"}]}]}


def vectors(folder):
    authority, stranger = Authority(), Authority()
    signer = Signer(authority)
    found = []

    def add(name, resource, judged):
        found.append({"name": name, "resource": resource, "judged": judged})

    for alg in ("RS256", "RS384", "PS256", "PS384", "ES256", "ES384"):
        for resource in (bundle(), response()):
            add(f"{alg} {resource['resourceType']}", Signer(authority, alg).signed(resource), "valid")
    moved = signer.signed(bundle())
    moved.update(id="another", meta={"versionId": "7"})
    add("another id and meta", moved, "valid")
    tampered = signer.signed(bundle())
    tampered["entry"][0]["resource"]["status"] = "amended"
    add("tampered", tampered, "not that of this content")
    other = Signer(authority)
    add("of another key", {**bundle(), "signature": signer.signed(bundle(), header=other.header())["signature"]},
        "not that of this content")
    add("expired", Signer(authority, days=(-20, -10)).signed(bundle()), "expired")
    add("not yet", Signer(authority, days=(5, 10)).signed(bundle()), "not yet valid")
    add("untrusted", Signer(stranger).signed(bundle()), "not trusted")
    add("for keys only", Signer(authority, usage=False).signed(bundle()), "not for signatures")
    add("another number", Signer(authority, npi="1111111111").signed(bundle()), "not that of the signer")
    add("no name", Signer(authority, npi=None).signed(bundle()), "not that of the signer")
    add("no purpose", signer.signed(bundle(), header=signer.header(srCms=None)), "malformed")
    wrong = [{"commId": {"id": "urn:oid:1.2.840.10065.1.12.1.1"}}]
    add("another purpose", signer.signed(bundle(), header=signer.header(srCms=wrong)), "purposes")
    add("another time", signer.signed(bundle(), element={"when": "2020-01-01T00:00:00Z"}), "time")
    add("no algorithm", signer.signed(bundle(), header=signer.header(alg="none")), "not supported")
    add("symmetric", signer.signed(bundle(), header=signer.header(alg="HS256")), "not supported")
    attached = lambda protected, payload, signature: f"{protected}.{payload}.{signature}"
    add("attached, the same", signer.signed(bundle(), serialize=attached), "valid")
    another = lambda protected, payload, signature: f"{protected}.{b64url(b'{}')}.{signature}"
    add("attached, another", signer.signed(bundle(), serialize=another), "not that of this content")
    general = lambda protected, payload, signature: json.dumps(
        {"signatures": [{"protected": protected, "signature": b64url(b"x")}, {"protected": protected, "signature": signature}]})
    add("two, one right", signer.signed(bundle(), serialize=general), "valid")
    single = signer.signed(bundle())
    single["signature"]["data"] = base64.b64decode(single["signature"]["data"]).decode()
    add("encoded once", single, "malformed")

    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.certificate.public_bytes(pem))
    (folder / "chain.pem").write_bytes(signer.certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(signer.key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (folder / "vectors.json").write_text(json.dumps(found))


def verify(resource, authority):
    signature = resource.get("signature") or next(
        one["valueSignature"] for one in resource["extension"] if one["url"] == QR_SIGNATURE)
    assert (signature["sigFormat"], signature["targetFormat"]) == ("application/jose", TARGET)
    protected, payload, value = base64.b64decode(signature["data"], validate=True).decode("ascii").split(".")
    assert payload == "", "it is detached"
    header = json.loads(unb64url(protected))
    certificate = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0], validate=True))
    certificate.verify_directly_issued_by(authority)
    assert certificate.not_valid_before_utc <= NOW <= certificate.not_valid_after_utc
    assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    numbers = [name.value[2:].decode() for name in names if isinstance(name, x509.OtherName) and name.type_id == NPI_OID]
    who = signature["who"]["identifier"]
    assert who["system"] == NPI_SYSTEM and who["value"] in numbers, "the signer is in the certificate"
    purposes = {one["commId"]["id"].removeprefix("urn:oid:") for one in header["srCms"]}
    assert purposes == {one["code"] for one in signature["type"]} and PURPOSE in purposes
    instant = lambda text: datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert instant(header["sigT"][:19] + "+00:00") == instant(signature["when"][:19] + "+00:00")
    assert header["alg"] == "RS256"
    signed = f"{protected}.{b64url(canonical(resource))}".encode()
    certificate.public_key().verify(unb64url(value), signed, padding.PKCS1v15(), hashes.SHA256())


def main():
    command, folder, *files = sys.argv[1:]
    folder = pathlib.Path(folder)
    if command == "vectors":
        return vectors(folder)
    authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    for file in files:
        resource = json.loads(pathlib.Path(file).read_text())
        verify(resource, authority)
        # It must not be a verification that accepts everything.
        resource["total"] = 4711
        try:
            verify(resource, authority)
        except InvalidSignature:
            continue
        raise SystemExit(f"{file}: a change was not noticed")


main()
