"""Checks answers against the server's OpenAPI document: the part of JSON Schema that the document uses."""
import re

TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}


class Document:
    def __init__(self, document):
        self.document = document
        self.schemas = document["components"]["schemas"]

    def operation(self, method, path):
        path = path.split("?")[0]
        for pattern, operations in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{[a-z]+\}", "[^/]+", pattern), path):
                return operations.get(method.lower())
        return None

    def fault(self, method, path, status, value):
        """What is wrong with an answer; empty when nothing is. Paths that the document does not know are refused by
        the server itself."""
        operation = self.operation(method, path)
        if operation is None:
            return "" if status in (400, 404, 405) or not path.startswith("/api") else "it is not documented"
        response = operation["responses"].get(str(status))
        if response is None and status == 304:
            return ""
        if response is None and status < 400:
            return f"status {status} is not documented"
        content = (response or operation["responses"]["default"]).get("content", {})
        for kind, media in content.items():
            if kind.endswith("json"):
                if "dry_run=true" in path and status == 200:
                    return self.check({"$ref": "#/components/schemas/Outcome"}, value, "")
                return self.check(media["schema"], value, "")
        return ""

    def check(self, schema, value, where):
        if "$ref" in schema:
            return self.check(self.schemas[schema["$ref"].rsplit("/", 1)[1]], value, where)
        for one in schema.get("allOf", []):
            if fault := self.check(one, value, where):
                return fault
        if "anyOf" in schema and all(self.check(one, value, where) for one in schema["anyOf"]):
            return f"{where or '/'} fits no alternative"
        wanted = schema.get("type")
        wanted = [wanted] if isinstance(wanted, str) else wanted
        if wanted and not any(isinstance(value, TYPES[one]) and not (one == "integer" and isinstance(value, bool))
                              for one in wanted):
            return f"{where or '/'} is {type(value).__name__} and not {wanted}"
        if "enum" in schema and value not in schema["enum"]:
            return f"{where or '/'} is {value!r}"
        if isinstance(value, dict):
            return self.check_object(schema, value, where)
        if isinstance(value, list) and "items" in schema:
            for index, item in enumerate(value):
                if fault := self.check(schema["items"], item, f"{where}/{index}"):
                    return fault
        return ""

    def check_object(self, schema, value, where):
        for name in schema.get("required", []):
            if name not in value:
                return f"{where}/{name} is missing"
        known = schema.get("properties", {})
        more = schema.get("additionalProperties", True)
        for name, item in value.items():
            if name in known:
                fault = self.check(known[name], item, f"{where}/{name}")
            elif more is False:
                fault = f"{where}/{name} is not documented"
            else:
                fault = self.check(more, item, f"{where}/{name}") if isinstance(more, dict) else ""
            if fault:
                return fault
        return ""
