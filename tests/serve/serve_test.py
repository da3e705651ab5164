"""The server as clients see it: python serve_test.py [test...] PROGRAM. Needs the packages of requirements-serving.txt."""
import concurrent.futures
import json
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import openai

import serving
from serving import ALL_ROWS, ANEW, QUESTIONS, Server, damaged

PROGRAM = ""


class Serving(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(PROGRAM, "--max-open", "64").__enter__()
        cls.addClassCleanup(cls.server.__exit__)
        cls.client = openai.OpenAI(base_url=f"http://127.0.0.1:{cls.server.port}/v1", api_key="none", timeout=300, max_retries=0)

    def tearDown(self):
        self.server.wait_until_idle()

    def test_the_printed_curl_line_works(self):
        line = next(line for line in self.server.greeting.splitlines() if "curl" in line)
        reply = subprocess.run(shlex.split(line) + ["-s"], capture_output=True, text=True, timeout=300)
        self.assertIn("exercise", json.loads(reply.stdout)["choices"][0]["message"]["content"])

    def test_a_stream_has_the_text_of_the_document(self):
        for question in QUESTIONS[:2]:
            body = dict(model="default", messages=[{"role": "user", "content": question}], max_tokens=60, extra_body=ANEW)
            whole = self.client.chat.completions.create(**body)
            pieces, usage, events = [], None, []
            for chunk in self.client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}):
                usage = chunk.usage or usage
                if chunk.choices:
                    pieces.append(chunk.choices[0].delta.content or "")
                if chunk.model_extra.get("anabranch"):
                    events.append(chunk.model_extra["anabranch"])
            self.assertEqual("".join(pieces), whole.choices[0].message.content)
            self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)
            self.assertEqual(events[-1]["event"], "end")
            for event in events:
                if event["branch"] > 0:
                    self.assertTrue(event["path"])
                    self.assertTrue(event["title"])
                    self.assertGreater(event["pass"], 0)

    def test_branches_one_by_one_give_the_same_text(self):
        together = self.server.chat(QUESTIONS[0], max_tokens=1000)  # that no limit cuts: branches share it
        apart = self.server.chat(QUESTIONS[0], max_tokens=1000, anabranch={"mode": "serial"})
        self.assertEqual(together["choices"][0]["message"], apart["choices"][0]["message"])
        self.assertLess(together["usage"]["anabranch"]["passes"], apart["usage"]["anabranch"]["passes"])

    def test_a_text_does_not_depend_on_the_other_requests(self):
        def ask(i):
            return self.server.text(QUESTIONS[i % len(QUESTIONS)], temperature=0.8 * (i % 2), seed=i // 6)
        alone = [ask(i) for i in range(8)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(list(pool.map(ask, range(8))), alone)

    def test_several_answers_are_several(self):
        reply = self.client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": "Tell me a word."}], n=3, temperature=1.5, seed=5, max_tokens=12,
            extra_body=ANEW)
        texts = [choice.message.content for choice in reply.choices]
        self.assertEqual([choice.index for choice in reply.choices], [0, 1, 2])
        self.assertGreater(len(set(texts)), 1)
        again = self.client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": "Tell me a word."}], temperature=1.5, seed=5, max_tokens=12,
            extra_body=ANEW)
        self.assertEqual(again.choices[0].message.content, texts[0])

    def test_a_prompt_that_was_computed_is_found_again(self):
        question = "Which rivers flow through Vienna?"
        first = self.server.chat(question, anabranch={"reuse_prefix": True})
        again = self.server.chat(question, anabranch={"reuse_prefix": True})
        found = again["usage"]["prompt_tokens_details"]["cached_tokens"]
        self.assertEqual(found, first["usage"]["prompt_tokens"] - 1)

    def test_a_second_turn_computes_its_new_tokens_only(self):
        chat = [{"role": "user", "content": QUESTIONS[0]}]
        first = self.client.chat.completions.create(model="default", messages=chat, max_tokens=1500)
        self.assertEqual(first.choices[0].finish_reason, "stop")
        self.assertGreater(first.choices[0].model_extra["anabranch"]["statistics"]["branches"], 1)
        alone = self.server.chat("Which of these is the best one?", max_tokens=1)["usage"]["prompt_tokens"]
        before = self.server.wait_until_idle()
        chat += [{"role": "assistant", "content": first.choices[0].message.content},
                 {"role": "user", "content": "Which of these is the best one?"}]
        text, usage = "", None
        for chunk in self.client.chat.completions.create(model="default", messages=chat, max_tokens=24, stream=True,
                                                         stream_options={"include_usage": True}):
            text += chunk.choices[0].delta.content or "" if chunk.choices else ""
            usage = chunk.usage or usage
        after = self.server.wait_until_idle()
        n_found = usage.prompt_tokens_details.cached_tokens
        n_new = usage.prompt_tokens - n_found
        self.assertTrue(text)
        self.assertEqual(n_found, first.usage.prompt_tokens + first.usage.completion_tokens)
        self.assertLess(n_new, alone)
        grown = {name: after[name] - before[name] for name in after if name in before}
        self.assertEqual(grown["anabranch_prefix_tokens_total"], n_found)
        self.assertEqual(grown["anabranch_next_turns_continued_total"], 1)
        self.assertLessEqual(grown["anabranch_rows_total"], n_new + 2 * usage.completion_tokens)  # drafts may be wrong
        chat += [{"role": "assistant", "content": text}, {"role": "user", "content": "Why?"}]
        third = self.client.chat.completions.create(model="default", messages=chat, max_tokens=4)
        self.assertEqual(third.usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens + usage.completion_tokens)

    def test_the_turn_behind_an_answer_that_was_cut_in_its_branches_computes_nothing_of_it(self):
        chat = [{"role": "user", "content": QUESTIONS[0]}]
        first = self.client.chat.completions.create(model="default", messages=chat, max_tokens=90)
        self.assertEqual(first.choices[0].finish_reason, "length")
        self.assertGreater(first.choices[0].model_extra["anabranch"]["statistics"]["branches"], 1)
        self.server.wait_until_idle()
        chat += [{"role": "assistant", "content": first.choices[0].message.content}, {"role": "user", "content": "Go on."}]
        second = self.client.chat.completions.create(model="default", messages=chat, max_tokens=8)
        self.assertGreaterEqual(second.usage.prompt_tokens_details.cached_tokens,
                                first.usage.prompt_tokens + first.usage.completion_tokens)

    def test_a_turn_behind_another_answer_or_with_the_opt_out_is_computed_from_its_messages(self):
        chat = [{"role": "user", "content": QUESTIONS[3]}]
        first = self.client.chat.completions.create(model="default", messages=chat, max_tokens=100)
        text = first.choices[0].message.content
        for answer, fields in [(text + ".", {}), ("I do not know.", {}), (text, ANEW)]:
            before = self.server.metrics()["anabranch_next_turns_continued_total"]
            reply = self.client.chat.completions.create(
                model="default", max_tokens=8, extra_body=fields,
                messages=chat + [{"role": "assistant", "content": answer}, {"role": "user", "content": "Why?"}])
            self.assertTrue(reply.choices[0].message.content)
            self.assertEqual(self.server.metrics()["anabranch_next_turns_continued_total"], before)
            if fields:
                self.assertEqual(reply.usage.prompt_tokens_details.cached_tokens, 0)
        stopped = self.client.chat.completions.create(model="default", messages=chat, max_tokens=100, stop=[text.split()[2]])
        before = self.server.metrics()["anabranch_next_turns_continued_total"]
        self.client.chat.completions.create(
            model="default", max_tokens=8,
            messages=chat + [{"role": "assistant", "content": stopped.choices[0].message.content}, {"role": "user", "content": "Why?"}])
        self.assertEqual(self.server.metrics()["anabranch_next_turns_continued_total"], before)

    def test_log_probabilities(self):
        reply = self.client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": "Who wrote Hamlet?"}], max_tokens=12, logprobs=True, top_logprobs=3)
        content = reply.choices[0].logprobs.content
        self.assertEqual("".join(token.token for token in content).strip(), reply.choices[0].message.content.strip())
        self.assertTrue(all(token.logprob <= 0 and len(token.top_logprobs) in (0, 3) for token in content))
        reply = self.client.completions.create(model="default", prompt="Once upon a time", max_tokens=8, logprobs=2)
        columns = reply.choices[0].logprobs
        self.assertEqual(len(columns.tokens), len(columns.token_logprobs))
        self.assertEqual(columns.text_offset[0], 0)

    def test_completions_of_texts_and_tokens(self):
        reply = self.client.completions.create(model="default", prompt=["One two three", "Red green"], n=2, max_tokens=6)
        self.assertEqual(len(reply.choices), 4)
        self.assertEqual(reply.choices[0].text, reply.choices[1].text)  # greedy
        self.client.completions.create(model="default", prompt=[504, 314], max_tokens=4)

    def test_stops_and_biases(self):
        whole = self.server.text(QUESTIONS[5])
        word = whole.split()[2]
        reply = self.server.chat(QUESTIONS[5], stop=[word])
        self.assertEqual(reply["choices"][0]["message"]["content"], whole[:whole.index(word)])
        self.assertEqual(reply["choices"][0]["finish_reason"], "stop")
        self.assertEqual(self.server.chat(QUESTIONS[5], max_tokens=3)["choices"][0]["finish_reason"], "length")
        biased = self.client.completions.create(model="default", prompt="Hello", max_tokens=3, logit_bias={"504": 100})
        unbiased = self.client.completions.create(model="default", prompt="Hello", max_tokens=3)
        self.assertNotEqual(biased.choices[0].text, unbiased.choices[0].text)

    def test_a_timeout_ends_with_what_is_written(self):
        reply = self.server.chat(QUESTIONS[0], max_tokens=2000, timeout=0.7)
        self.assertEqual(reply["choices"][0]["anabranch"]["reason"], "cancelled")
        self.assertEqual(reply["choices"][0]["finish_reason"], "length")

    def test_mistakes_are_told_as_openai_tells_them(self):
        with self.assertRaises(openai.NotFoundError) as failed:
            self.client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "x"}])
        self.assertEqual(failed.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as failed:
            self.client.chat.completions.create(model="default", messages=[{"role": "user", "content": "x"}], temperature=9)
        self.assertEqual(failed.exception.param, "temperature")
        with self.assertRaises(openai.BadRequestError) as failed:
            self.client.chat.completions.create(model="default", messages=[{"role": "user", "content": "word " * 9000}])
        self.assertEqual(failed.exception.code, "context_length_exceeded")
        self.assertEqual(self.client.models.list().data[0].id, "default")
        self.assertEqual(self.client.models.retrieve("default").id, "default")
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("other")

    def test_paths_and_methods(self):
        self.assertEqual(self.server.request("GET", "/nothing")[0], 404)
        for method, path in [("GET", "/v1/chat/completions"), ("POST", "/v1/models"), ("DELETE", "/health"), ("QUERY", "/metrics"),
                             ("FETCH", "/v1/passes?after=1")]:
            status, headers, text = self.server.request(method, path)
            self.assertEqual(status, 405)
            self.assertIn("Allow", headers)
            json.loads(text)
        for path in ["/", "/running", "/health", "/openapi.json", "/metrics", "/v1/passes?after=0"]:
            self.assertEqual(self.server.request("GET", path)[0], 200, path)
        self.assertEqual(self.server.request("GET", "/v1/passes?after=x")[0], 400)
        fields = json.loads(self.server.request("GET", "/openapi.json")[2])["paths"]["/v1/completions"]["post"]["requestBody"]
        fields = fields["content"]["application/json"]["schema"]["properties"]
        self.assertEqual(fields["model"]["enum"], ["default"])
        self.assertEqual(fields["prompt"]["oneOf"][2]["items"]["maximum"], 49151)

    def test_the_body_of_a_refused_request_is_not_taken_for_another_one(self):
        hidden = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        for line, status in [(b"PUT /v1/completions", 405), (b"QUERY /health", 405), (b"POST /none", 404), (b"GET /health", 400)]:
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as raw:
                raw.sendall(line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(hidden) + hidden)
                text = b""
                while piece := raw.recv(65536):  # until the server closes
                    text += piece
            self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", text), [b"%d" % status], text)
            self.assertIn("error", json.loads(text.partition(b"\r\n\r\n")[2]))

    def test_damaged_requests_are_refused_and_harm_nobody(self):
        random.seed(7)
        good = json.dumps({"model": "default", "max_tokens": 2, "messages": [{"role": "user", "content": "Hi"}]}).encode()
        watched = threading.Thread(target=lambda: self.assertTrue(self.server.text(QUESTIONS[3])))
        watched.start()
        for _ in range(100):
            status, _, text = self.server.request("POST", "/v1/chat/completions", damaged(good, random))
            reply = json.loads(text)
            self.assertIn(status, (200, 400, 404))
            self.assertEqual("error" in reply, status != 200, reply)
        watched.join()

    def test_a_body_that_is_too_large_is_refused(self):
        status, _, text = self.server.request("POST", "/v1/chat/completions", b" " * (5 << 20))
        self.assertEqual(status, 413)
        self.assertIn("bytes", json.loads(text)["error"]["message"])

    def test_a_port_is_one_servers_and_another_is_refused_before_it_loads_a_model(self):
        other = subprocess.run([PROGRAM, "--port", str(self.server.port)], capture_output=True, text=True, timeout=60)
        self.assertEqual((other.returncode, other.stdout), (1, ""))
        self.assertEqual(other.stderr, f"serve: cannot listen on 127.0.0.1:{self.server.port}: Address already in use\n")
        unknown = subprocess.run([PROGRAM, "--host", "256.0.0.1"], capture_output=True, text=True, timeout=60)
        self.assertEqual((unknown.returncode, unknown.stdout), (1, ""))
        self.assertRegex(unknown.stderr, r"^serve: cannot listen on 256\.0\.0\.1:8080: .+\n$")

    def test_clients_that_go_take_nothing_with_them(self):
        expected = self.server.text(QUESTIONS[2])
        body = {"model": "default", "max_tokens": 400, "stream": True, "messages": [{"role": "user", "content": QUESTIONS[0]}]}
        before = self.server.metrics()["anabranch_disconnects_total"]
        for k in range(15):
            raw = self.server.send_raw({**body, "stream": k % 3 != 0})
            if k % 2:
                time.sleep(0.05)
            raw.close()
        self.assertEqual(self.server.text(QUESTIONS[2]), expected)
        self.server.wait_until_idle()
        self.assertGreater(self.server.metrics()["anabranch_disconnects_total"], before)

    def test_slow_readers_hold_nobody_up(self):
        body = {"model": "default", "max_tokens": 40, "stream": True, "messages": [{"role": "user", "content": QUESTIONS[0]}]}
        slow = [self.server.send_raw(body) for _ in range(10)]
        self.assertTrue(self.server.text(QUESTIONS[1]))
        self.server.wait_until_idle(120)
        for raw in slow:
            text = b""
            while b"[DONE]" not in text:
                text += raw.recv(65536)
            raw.close()


class Limits(unittest.TestCase):
    def test_a_key_is_asked_for(self):
        with Server(PROGRAM, *ALL_ROWS, "--cors", "*", env={"ANABRANCH_API_KEY": "secret"}) as server:
            body = {"model": "default", "max_tokens": 2, "messages": [{"role": "user", "content": "Hi"}]}
            for headers in [{}, {"Authorization": "Bearer secre"}, {"Authorization": "Bearer secrets"}, {"Authorization": "secret"}]:
                status, reply = server.post("/v1/chat/completions", body, headers=headers)
                self.assertEqual(status, 401)
                self.assertEqual(reply["error"]["code"], "invalid_api_key")
            self.assertEqual(server.post("/v1/chat/completions", body, headers={"Authorization": "Bearer secret"})[0], 200)
            self.assertEqual(server.request("GET", "/health")[0], 200)
            status, headers, _ = server.request("OPTIONS", "/v1/chat/completions")
            self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (204, "*"))

    def test_too_many_are_told_to_come_again_and_a_small_pool_serves_all(self):
        with Server(PROGRAM, *ALL_ROWS, "--max-open", "6", "--context", "512") as server:
            def ask(i):
                return server.request("POST", "/v1/chat/completions",
                                      {"model": "default", "max_tokens": 30, **ANEW,
                                       "messages": [{"role": "user", "content": QUESTIONS[i % 3]}]})
            alone = [json.loads(ask(i)[2])["choices"][0]["message"]["content"] for i in range(3)]
            with concurrent.futures.ThreadPoolExecutor(12) as pool:
                replies = list(pool.map(ask, range(12)))
            statuses = [status for status, _, _ in replies]
            self.assertEqual(set(statuses), {200, 429})
            for i, (status, headers, text) in enumerate(replies):
                if status == 200:
                    self.assertEqual(json.loads(text)["choices"][0]["message"]["content"], alone[i % 3])
                else:
                    self.assertEqual(headers["Retry-After"], "1")

    def test_chats_of_three_turns_share_a_small_pool_with_and_without_remembered_answers(self):
        for n_mb in (64, 0):
            with Server(PROGRAM, *ALL_ROWS, "--context", "640", "--conversation-mb", str(n_mb)) as server:
                def talk(i):
                    chat = []
                    for question in [QUESTIONS[i % len(QUESTIONS)], "Tell me more.", "Why?"]:
                        chat.append({"role": "user", "content": question})
                        status, reply = server.post("/v1/chat/completions", {"model": "default", "max_tokens": 30, "messages": chat})
                        self.assertEqual(status, 200, reply)
                        chat.append(reply["choices"][0]["message"])
                    return reply["choices"][0]["message"]["content"]
                with concurrent.futures.ThreadPoolExecutor(6) as pool:
                    self.assertTrue(all(pool.map(talk, range(6))))
                metrics = server.wait_until_idle()
                self.assertEqual(metrics["anabranch_next_turns_total"], 12)
                self.assertEqual(metrics["anabranch_next_turns_continued_total"], 12 if n_mb else 0)
                self.assertEqual(metrics["anabranch_conversations"] > 0, n_mb > 0)

    def test_sigterm_lets_answers_end(self):
        with Server(PROGRAM, *ALL_ROWS, "--drain", "60") as server:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                answer = pool.submit(server.chat, QUESTIONS[0], max_tokens=40)
                while server.metrics()["anabranch_requests_running"] == 0:
                    time.sleep(0.02)
                server.process.send_signal(signal.SIGTERM)
                self.assertEqual(answer.result()["choices"][0]["finish_reason"], "length")
            self.assertEqual(server.process.wait(30), 0)

    def test_sigterm_ends_answers_when_the_time_is_over(self):
        with Server(PROGRAM, *ALL_ROWS, "--drain", "0.5") as server:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                answer = pool.submit(server.chat, QUESTIONS[0], max_tokens=3000)
                while server.metrics()["anabranch_requests_running"] == 0:
                    time.sleep(0.02)
                begin = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                self.assertEqual(answer.result()["choices"][0]["anabranch"]["reason"], "cancelled")
            self.assertEqual(server.process.wait(30), 0)
            self.assertLess(time.monotonic() - begin, 30)


if __name__ == "__main__":
    serving.main(sys.modules[__name__])
