// The start of the dashboard.
import { render } from "preact";
import { App } from "./app";

render(<App />, document.getElementById("app")!);
